"""The console command: `nightreel <command>` runs one step of the pipeline or asks the tables."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version

from jobs.runs.command import run_command
from jobs.runs.errors import JobError

# Where each command's main lies. Only the one that is called is imported: Spark and torch take
# seconds to load, and a query needs neither.
STEPS = {
    "ingest": ("jobs.ingest:main", "start a run: bring a release into the warehouse"),
    "etl": ("jobs.etl:main", "clean the ratings, set bad lines aside, split"),
    "check": ("jobs.check:main", "check the clean ratings before anything is made of them"),
    "plan": ("jobs.plan:main", "decide whether to train, or to score with the champion"),
    "train": ("jobs.train:main", "learn the model"),
    "evaluate": ("jobs.evaluate:main", "measure the model on the test ratings"),
    "refit": ("jobs.refit:main", "let what was good enough learn from all ratings"),
    "score": ("jobs.score:main", "find the best unrated movies of every user"),
    "publish": ("jobs.publish:main", "audit the result and show it to readers"),
    "promote": ("jobs.promote:main", "make the model the champion, if it was good enough"),
}
PAGES = {
    "compare": ("jobs.compare:main", "train several models alike, and show which is best"),
    "replay": ("jobs.replay:main", "play the past again, trained more or less often"),
    "explore": ("jobs.explore:main", "what is to be seen in the clean data of a run"),
    "report": ("jobs.report:main", "how a run learned, where it errs, what it recommends"),
}
UPKEEP = {
    "rescore": ("jobs.rescore:main", "start a run that only scores and publishes again"),
    "tidy": ("jobs.upkeep.cleanup:tidy", "remove the scratch of a run"),
    "restore": ("jobs.upkeep.restore:main", "put an earlier version of a table back"),
    "forget": ("jobs.upkeep.forget:main", "take a date out of the published tables"),
    "erase": ("jobs.upkeep.erase:main", "take users out of everything, for good"),
    "sink": ("jobs.upkeep.sink:main", "copy what is published to PostgreSQL or an object store"),
    "locks": ("jobs.upkeep.locks:main", "see whether the warehouse's locks hold between hosts"),
    "cleanup": ("jobs.upkeep.cleanup:main", "remove old runs and files that no table needs"),
}
QUESTIONS = {
    "summary": ("jobs.questions.summary:main", "what a run did, and what it recommends"),
    "recommend": ("jobs.questions.query:recommend", "a user's recommendations"),
    "similar": ("jobs.questions.similar:main", "the movies most like a movie"),
    "predict": ("jobs.questions.predict:main", "the rating that a user would give a movie"),
    "sql": ("jobs.questions.query:sql", "any question to the published tables"),
    "history": ("jobs.questions.history:main", "the versions of a table, to read or restore"),
}
COMMANDS = STEPS | PAGES | UPKEEP | QUESTIONS


def usage() -> str:
    """What `nightreel --help` prints."""

    def lines(commands: dict[str, tuple[str, str]]) -> str:
        return "\n".join(f"  {name:<10} {line}" for name, (_, line) in commands.items())

    return f"""usage: nightreel <command> [options], or nightreel --version

The steps of a run, in their order (`make nightly` makes them all):
{lines(STEPS)}

Pages for a browser about a run:
{lines(PAGES)}

Upkeep:
{lines(UPKEEP)}

Questions to what was published:
{lines(QUESTIONS)}

Options of a command, with examples: nightreel <command> --help
Every command takes --warehouse FOLDER; NIGHTREEL_WAREHOUSE, then conf, is the default.
"""


def dispatch(argv: list[str]) -> None:
    """Call the main of the command that `argv` begins with. Raises JobError if there is none."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage(), end="")
        return
    if argv[0] == "--version":
        print(f"nightreel {version('nightreel')}")
        return
    command, *rest = argv
    if command not in COMMANDS:
        near = get_close_matches(command, COMMANDS, n=1)
        meant = f"Did you mean {near[0]}? " if near else ""
        raise JobError(f"There is no command {command}. {meant}All commands: nightreel --help")
    module, function = COMMANDS[command][0].split(":")
    # argparse takes the name in its usage line and errors from here.
    sys.argv[0] = f"nightreel {command}"
    getattr(import_module(module), function)(rest)


def main() -> None:
    """The entry point that setup.py names."""
    try:
        run_command(lambda: dispatch(sys.argv[1:]))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader, as in `nightreel sql ... | head`, has had enough; so has Python's own flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


if __name__ == "__main__":
    main()
