"""Plans that people review before they are applied: one JSON file for one or more workspaces."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl
from pydantic import BaseModel, ConfigDict, ValidationError

from hex_assets.errors import RecipeError
from hex_assets.openmetadata.publish import Plan


class PlannedChange(BaseModel):
    """One row of ``openmetadata_entities`` that is not ``unchanged``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    fqn: str
    action: str
    reason: str
    before: str
    after: str


class WorkspacePlan(BaseModel):
    """What publishing would do to one workspace.

    Attributes:
        fingerprint: of all that would be sent; applying it means sending just that.
        unchanged: how many entities stay as they are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fingerprint: str
    unchanged: int
    changes: tuple[PlannedChange, ...]

    @classmethod
    def of(cls, plan: Plan) -> WorkspacePlan:
        rows = plan.frame.rows
        changed = rows.filter(pl.col("action") != "unchanged")
        return cls(
            fingerprint=plan.fingerprint,
            unchanged=rows.height - changed.height,
            changes=tuple(
                PlannedChange(**{name: row[name] or "" for name in PlannedChange.model_fields})
                for row in changed.iter_rows(named=True)
            ),
        )

    @property
    def sends(self) -> bool:
        """Whether applying it would send anything."""
        return any(change.action != "skip" for change in self.changes)


class PlanFile(BaseModel):
    """The file: plans by workspace."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workspaces: Mapping[str, WorkspacePlan]

    @classmethod
    def read(cls, path: Path) -> PlanFile:
        """Read a file that ``hex-assets plan --out`` wrote.

        Raises:
            RecipeError: it cannot be read, or is no plan.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise RecipeError(f"{path} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            raise RecipeError(
                f"{path} is no plan of this version of hex-assets. Make one with "
                "`hex-assets plan --out`."
            ) from error

    def as_json(self) -> str:
        return self.model_dump_json(indent=2) + "\n"
