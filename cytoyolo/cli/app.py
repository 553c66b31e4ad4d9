"""The program `cytoyolo`: its commands, and one place where errors become a sentence and an exit code.

The exit codes are 0 (fine), 1 (findings, or the input or the machine did not allow the work), 2 (a wrong call: an
option, an argument or a path), 130 and 143 (interrupted by Ctrl-C or SIGTERM), and 141 (the reader of the results
stopped, as in `cytoyolo audit ... | head -1`).
"""

import gc
import os
import re
import signal
import sys
from ast import literal_eval
from typing import Annotated

import typer

from cytoyolo import console
from cytoyolo.cli import (
    adapt,
    apply,
    audit,
    bench,
    calibrate,
    card,
    check,
    compare,
    convert,
    crossval,
    curate,
    demo,
    differential,
    ensemble,
    evaluate,
    export,
    export_labels,
    fuse,
    import_labels,
    info,
    jobs,
    join,
    predict,
    repair,
    reproduce,
    review,
    score,
    select,
    smear,
    submit,
    train,
    train_classifier,
    undo,
)
from cytoyolo.cli.output import guard_streams
from cytoyolo.errors import as_typed, explain, wrong_choice
from cytoyolo.machine import __version__
from cytoyolo.text import one_line

app = typer.Typer(
    name="cytoyolo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_COMMANDS = (
    *(
        import_labels,
        join,
        audit,
        repair,
        undo,
        apply,
        convert,
        train,
        train_classifier,
        crossval,
        curate,
        review,
        calibrate,
        ensemble,
        predict,
        submit,
        fuse,
        differential,
        evaluate,
        compare,
        score,
        check,
    ),
    *(select, adapt, export_labels, export, card, bench, reproduce, jobs, smear, demo, info),
)
for module in _COMMANDS:
    module.register(app)

# Old calls and their new names.
RENAMED = {
    "score --check": "check TEST.csv SUBMISSION.csv",
    "repair --undo": "undo CLEAN.csv CHANGES.csv",
    "repair --apply": "apply LABELS.csv CHANGES.csv",
    "curate --variant": "curate --spurious mask|keep",
    "reproduce --variant": "reproduce --spurious mask|keep",
    "predict --images": "submit WEIGHTS TEST.csv --images DIR -o FILE.csv",
    "predict --fallback": "submit WEIGHTS TEST.csv --images DIR -o FILE.csv --fallback CLASS",
}

# The message of typer for a word that is not in a closed set.
_NO_CHOICE = re.compile(r"Invalid value for '--([a-z0-9-]+)': (?:Value error, )?(.+) is not one of (.+)\.")
# Exit codes after Ctrl-C and SIGTERM.
INTERRUPTED = (130, 143)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback(epilog="Exit codes: 0 fine, 1 findings or an error of input or machine, 2 wrong call.")
def cytoyolo(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Find and classify white blood cells on blood smears: clean labels, train one YOLO, predict cells."""
    # Otherwise typer would remove text that looks like a colour from names, in a file or a pipe.
    context.color = True


def _terminate(signum: int, frame: object) -> None:
    """SIGTERM ends the work as Ctrl-C does: unfinished output is removed on the way out."""
    raise SystemExit(128 + signum)


def main() -> None:
    """Run the program and exit with its code. With CYTOYOLO_DEBUG=1 an error keeps its traceback."""
    signal.signal(signal.SIGTERM, _terminate)
    guard_streams()
    with console.shown():
        code = _run()
    if code in INTERRUPTED:
        typer.echo("cytoyolo: interrupted.", err=True)
        sys.stdout.flush()
        gc.collect()  # objects that hold semaphores of worker processes release them
        # Everything is cleaned up now. If torch was at work, the interpreter's normal end could hang.
        os._exit(code)
    sys.stdout.flush()  # here, so that a reader that has stopped is noticed
    sys.exit(code)


def _run() -> int:
    try:
        code = app(standalone_mode=False)
        return code if isinstance(code, int) else 0
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except KeyboardInterrupt:
        return INTERRUPTED[0]
    except Exception as error:
        if os.environ.get("CYTOYOLO_DEBUG") == "1":
            raise
        sentence, code = _renamed(error) or _wrong_choice(error) or explain(error)
        if sentence:  # a call without any argument has shown the help instead
            typer.echo(f"cytoyolo: {one_line(as_typed(sentence))}", err=True, color=True)
        return code


def _renamed(error: Exception) -> tuple[str, int] | None:
    """Return the sentence and the exit code for an option with its old name, None for any other error."""
    command = getattr(getattr(error, "ctx", None), "info_name", None)
    call = f"{command} {getattr(error, 'option_name', None)}"
    return (f"`cytoyolo {call}` is now `cytoyolo {RENAMED[call]}`.", 2) if call in RENAMED else None


def _wrong_choice(error: Exception) -> tuple[str, int] | None:
    """Return our own sentence and the exit code for a word that is not in a closed set, None for any other error."""
    message = error.format_message() if hasattr(error, "format_message") else ""
    if not (found := _NO_CHOICE.fullmatch(message)):
        return None
    parameter, value, words = found.groups()
    return explain(wrong_choice(parameter.replace("-", "_"), literal_eval(value), literal_eval(f"[{words}]")))
