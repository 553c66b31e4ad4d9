"""The rules that an audit asks, ours and a user's own, with the severities, actions and thresholds that a config
sets."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cytoyolo.annotations.rules import RULES, Rule
from cytoyolo.annotations.rules.own import MODULES, installed_rules, module_rules, place
from cytoyolo.annotations.rules.registry import OFF, REVIEW, SEVERITIES, Source
from cytoyolo.errors import CytoyoloError, UsageError, either, option
from cytoyolo.files import read_bytes
from cytoyolo.shipped import parse_yaml

_RULE_LIST = either("`cytoyolo audit --rules`", "`cytoyolo.commands.audit.rules()`")


def load_policy(path: str | Path | None = None, skip: str | Iterable[str] = ()) -> dict[str, Rule]:
    """Return the rules by name, in the order in which they are asked, with the settings of a YAML file.

    The YAML maps names of rules to `severity`, `action` and thresholds. Its key `modules` lists Python modules with a
    user's own rules; their code is run. Rules in `skip` get the action "review". Raises UsageError for a file or a rule
    that does not exist, and CytoyoloError for a setting that a rule can't have or for a fault in a module.
    """
    content = _read_yaml(path)
    own = list(installed_rules())
    if path is not None and MODULES in content:
        own += module_rules(Path(path), content.pop(MODULES))
    policy = place(RULES, own)
    for name, settings in content.items():
        if name not in policy:
            raise CytoyoloError(f"{path}: there is no rule '{name}'; {_RULE_LIST} lists them.")
        policy[name] = _configured(path, policy[name], settings)
    for name in [skip] if isinstance(skip, str) else skip:
        if name not in policy:
            raise UsageError(f"{option('skip', name)}: there is no such rule; {_RULE_LIST} lists them.")
        if REVIEW not in policy[name].actions:
            possible = ", ".join(policy[name].actions)
            raise UsageError(f"{option('skip', name)}: this rule can't be skipped (possible: {possible}).")
        if policy[name].action != OFF:
            policy[name] = replace(policy[name], action=REVIEW)
    return policy


def own_modules(policy: Mapping[str, Rule]) -> list[dict[str, object]]:
    """List the modules of a user's own rules in a policy: name, SHA-256 of the file, and the names of their rules."""
    names: dict[Source, list[str]] = {}
    for rule in policy.values():
        if rule.source is not None:
            names.setdefault(rule.source, []).append(rule.name)
    return [{"name": source.name, "sha256": source.sha256, "rules": rules} for source, rules in names.items()]


def own_files(policy: Mapping[str, Rule]) -> list[str]:
    """The files of these modules."""
    return sorted({rule.source.file for rule in policy.values() if rule.source is not None})


def _read_yaml(path: str | Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    content = parse_yaml(path, read_bytes(Path(path)), exponents=True)
    if not isinstance(content, dict):
        raise CytoyoloError(f"{path} must map names of rules to their settings; see {_RULE_LIST}.")
    return content


def _configured(path: str | Path | None, rule: Rule, settings: object) -> Rule:
    if not isinstance(settings, Mapping):
        raise CytoyoloError(f"{path}: '{rule.name}' must map settings to values, such as `action: review`.")
    for key, value in settings.items():
        if key == "severity":
            _check_choice(path, rule, key, value, SEVERITIES)
            rule = replace(rule, severity=value)
        elif key == "action":
            value = OFF if value is False else value  # YAML 1.1 takes a bare `off` for false
            _check_choice(path, rule, key, value, rule.actions)
            rule = replace(rule, action=value)
        elif key in rule.thresholds:
            _check_number(path, rule, key, value)
            rule = replace(rule, thresholds={**rule.thresholds, key: value})
        else:
            known = ", ".join(("severity", "action", *rule.thresholds))
            raise CytoyoloError(f"{path}: '{rule.name}' has no setting '{key}' (it has {known}); correct it.")
    low, high = (rule.thresholds.get(name) for name in ("low", "high"))
    if low is not None and high is not None and low >= high:
        raise CytoyoloError(f"{path}: 'low' of '{rule.name}' is {low:g}, and 'high' is {high:g}; give a lower 'low'.")
    return rule


def _check_choice(path: object, rule: Rule, key: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise CytoyoloError(f"{path}: '{key}' of '{rule.name}' is {value!r}; give one of {', '.join(known)}.")


def _check_number(path: object, rule: Rule, key: str, value: object) -> None:
    if not rule.bounds[key].takes(value):
        raise CytoyoloError(f"{path}: '{key}' of '{rule.name}' is {value!r}; give a number {rule.bounds[key].range}.")
