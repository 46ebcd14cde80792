"""EnsembleLearner: an ensemble that Lightning measures."""

from typing import Never

from unitf.ensemble import Ensemble
from unitf.errors import UserError
from unitf.training.learner import Learner


class EnsembleLearner(Ensemble, Learner):
    """An ensemble as a Learner, for `validate`, `test` and `predict`; `of` makes one.

    It is not trained.
    """

    def configure_optimizers(self) -> Never:
        """Raises a UserError: an ensemble is not trained."""
        raise UserError("an ensemble cannot be trained, expected one of its members")
