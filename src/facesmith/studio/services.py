"""What all routes share: the open models, the run folders and the worker threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request

from facesmith.model import Model
from facesmith.studio.open_models import OpenModels
from facesmith.studio.render_queue import BackgroundJobs, RenderQueue


class NotOpen(Exception):
    """The requested model or run is not open."""


@dataclass
class Studio:
    """The state of the application, shared by all clients.

    Attributes:
        runs: run folders by id.
        run_names: the name of each run on the page, by id.
    """

    models: OpenModels
    runs: Mapping[str, Path] = field(default_factory=dict)
    run_names: Mapping[str, str] = field(default_factory=dict)
    render_queue: RenderQueue = field(default_factory=RenderQueue)
    background: BackgroundJobs = field(default_factory=BackgroundJobs)

    def model(self, model_id: str) -> Model:
        """Return the open model with this id.

        Raises:
            NotOpen: there is none.
        """
        model = self.models.get(model_id)
        if model is None:
            raise NotOpen("This model is no longer open. Reload the page to see the open ones.")
        return model

    def run(self, run_id: str) -> Path:
        """Return the run folder with this id.

        Raises:
            NotOpen: there is none.
        """
        if run_id not in self.runs:
            raise NotOpen("This run is not open. Reload the page to see the open ones.")
        return self.runs[run_id]

    def close(self) -> None:
        """Stop all threads."""
        self.render_queue.close()
        self.background.close()


async def studio_of(request: Request) -> Studio:
    """Return the state of the application that received the request."""
    studio: Studio = request.app.state.studio
    return studio


StudioDep = Annotated[Studio, Depends(studio_of)]
