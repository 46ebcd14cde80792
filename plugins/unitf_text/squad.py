"""SquadFiles: questions whose answers are parts of paragraphs, in the layout of SQuAD."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from unitf import Sample, UserError
from unitf.data import FileSource, find, read_text


class SquadFiles(FileSource):
    """Each sample is a question about a paragraph of an article (SQuAD: Rajpurkar et al., 2016).

    The columns are question, context, pair (both, as one value), answer (`text` and
    `answer_start`, lists that are empty where a question of SQuAD 2.0 has no answer), id, title,
    and article: the number of the article, from 0, to split by.

    Args:
        path, split, limit: as in FileSource.
    """

    def load(self, path: str, root: Path) -> Sequence[Sample]:
        file = find(path, root)
        try:
            content = json.loads(read_text(file))
            return list(_questions(content["data"]))
        except (KeyError, TypeError, IndexError) as error:
            raise UserError(f"{file}: not in the layout of SQuAD ({error!r})") from error
        except (ValueError, RecursionError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{file}: not JSON ({error})") from error

    @staticmethod
    def examples(root: Path) -> dict[str, Any]:
        """One paragraph with two questions, for `unitf plugins check SquadFiles`."""
        answers = {"Who lives here?": [{"text": "Anna", "answer_start": 0}], "Who left?": []}
        asked = [
            {"id": str(number), "question": question, "answers": some}
            for number, (question, some) in enumerate(answers.items())
        ]
        paragraph = {"context": "Anna lives here.", "qas": asked}
        content = {"data": [{"title": "A house", "paragraphs": [paragraph]}]}
        (root / "squad.json").write_text(json.dumps(content), encoding="utf-8")
        return {"path": {"train": "squad.json"}}


def _questions(articles: list[Any]) -> Iterator[dict[str, Any]]:
    for number, article in enumerate(articles):
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                question, context = asked["question"], paragraph["context"]
                yield {
                    "question": question,
                    "context": context,
                    "pair": [question, context],
                    "answer": {
                        "text": [answer["text"] for answer in asked["answers"]],
                        "answer_start": [answer["answer_start"] for answer in asked["answers"]],
                    },
                    "id": asked.get("id"),
                    "title": article.get("title"),
                    "article": number,
                }
