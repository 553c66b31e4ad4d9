"""Where independent jobs run: in processes of this machine, on a Slurm cluster, or on a Ray cluster.

A job is a named function of paths. Nothing else travels: all machines see the same folders, and a job reads its inputs
there and leaves its results there.
"""
