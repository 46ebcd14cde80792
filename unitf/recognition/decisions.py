"""Decisions: what was chosen for a person, why, and the key that changes it."""

from dataclasses import dataclass, field

from unitf.recognition.asking import Answer, close_second


@dataclass
class Decisions:
    """The lines that a person reads, in the order of the decisions."""

    lines: list[str] = field(default_factory=list)

    def add(self, key: str, what: str) -> None:
        """Adds a line.

        Args:
            key: the key of the recipe, or the option, that changes the decision.
            what: what was decided, and why.
        """
        self.lines.append(f"{key}: {what}")

    def drop(self, group: str) -> None:
        """Removes the lines about a key and those below it, which something else decides."""
        self.lines = [
            line for line in self.lines if not line.startswith((f"{group}.", f"{group}:"))
        ]

    def add_answer(self, key: str, ranked: list[Answer]) -> None:
        """Adds the first of some answers, and the second if it comes close."""
        first, second = ranked[0], close_second(ranked)
        other = f" (second: {second.name}, {second.proposal.reason})" if second else ""
        self.add(key, f"{first.name}, {first.proposal.reason}{other}")
