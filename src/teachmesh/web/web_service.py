"""Everything that the routes of one server share: the agent, its node, workers and jobs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from teachmesh.bank.withheld import describe_withheld
from teachmesh.web.event_log import EventLog
from teachmesh.web.learning_jobs import LearningJob, LearningJobs
from teachmesh.web.picture_uploads import PictureUpload, PictureUploads
from teachmesh.web.public_errors import with_public_text
from teachmesh.web.request_counts import RequestCounts
from teachmesh.web.request_workers import RequestWorkers
from teachmesh.web.web_limits import WebLimits

if TYPE_CHECKING:
    from teachmesh.agent import Agent
    from teachmesh.agent.answers.prediction import Answers
    from teachmesh.agent.on_mesh.mesh_session import MeshSession
    from teachmesh.data.image_inputs import ImageInput
    from teachmesh.web.access import Access

UPLOADS = "web-uploads"


@dataclass(eq=False)
class WebService:
    """State of one server.

    Attributes:
        agent: the agent that answers and learns.
        access: rules for callers.
        limits: limits of requests.
        device: device that the person chose for the agent, such as "auto".
        session: sharing that can join other agents; None if it cannot.
        events: latest events.
        counts: counts for `/metrics`.
    """

    agent: Agent
    access: Access
    limits: WebLimits = field(default_factory=WebLimits)
    device: str = "auto"
    session: MeshSession | None = None
    events: EventLog = field(default_factory=EventLog)
    counts: RequestCounts = field(default_factory=RequestCounts)

    def __post_init__(self) -> None:
        self.workers = RequestWorkers(self.limits)
        self.jobs = LearningJobs(self.limits.jobs, self._job_ended)
        self.uploads = PictureUploads(self.agent.home.cache / UPLOADS, self.limits)

    def predict(
        self, images: list[ImageInput], *, task: str | None, alternatives: int, false_alarms: float
    ) -> Answers:
        """Classify images, and count them; see `Agent.predict_many` for errors."""
        started_s = time.perf_counter()
        answers = self.agent.predict_many(
            images, task=task, alternatives=alternatives, false_alarms=false_alarms
        )
        self.counts.count_answer(len(images), time.perf_counter() - started_s)
        return answers

    def learn(self, upload: PictureUpload, options: Mapping[str, Any]) -> LearningJob:
        """Learn the pictures of an upload in the background.

        Args:
            upload: the pictures, which are deleted afterwards.
            options: options of `Agent.learn`.

        Raises:
            HttpRefusal: 429 if too many jobs wait.
        """
        task = str(options.get("add_to") or options.get("name"))
        return self.jobs.submit(task, partial(self._learn, upload, options))

    def _learn(
        self, upload: PictureUpload, options: Mapping[str, Any], job: LearningJob
    ) -> Mapping[str, Any]:
        try:
            job.check()  # it may have been cancelled while it waited
            with with_public_text(upload.public_text):
                result = self.agent.learn(
                    upload.write_table(),
                    progress=job.progress,
                    on_understood=job.understood,
                    **options,
                )
        finally:
            self.uploads.discard(upload)
        document = result.to_json()
        if result.withheld is not None:
            text = describe_withheld(result.task, result.withheld)
            document["warnings"] = [text, *result.warnings]
        document["skipped_reasons"] = [*map(upload.public_text, result.skipped_reasons)]
        return document

    def _job_ended(self, job: LearningJob) -> None:
        if job.state == "done" and job.result is not None:
            found = {key: job.result[key] for key in ("task", "skill", "validation_accuracy")}
            self.events.add({"event": "saved", **found})
        elif job.error is not None:
            self.events.add({"event": "error", "task": job.task, **_of_error(job.error)})

    def close(self) -> None:
        """Stop the jobs and workers, and delete the uploads."""
        self.events.close()
        self.jobs.close()
        self.workers.close()
        self.uploads.close()


def _of_error(error: Mapping[str, Any]) -> dict[str, Any]:
    return {"message": error["message"], "exit_code": error["exit_code"]}
