"""The class `Agent`: all that the commands do, for the skills of one home folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teachmesh.agent.agent_threads import one_at_a_time
from teachmesh.agent.answers.evaluate_task import Evaluation, evaluate_task
from teachmesh.agent.argument_checks import checked
from teachmesh.agent.known_skills.skill_mapping import Exported
from teachmesh.agent.known_skills.skill_versions import (
    Restored,
    SkillVersion,
    restore_version,
    skill_history,
)
from teachmesh.agent.on_mesh.manage_parts import (
    PartInfo,
    WithdrawnPart,
    agent_keys,
    list_parts,
    withdraw_part,
)
from teachmesh.agent.teaching.combine_classes import Combination, combine_known
from teachmesh.agent.teaching.correct_answer import Correction, correct_answer
from teachmesh.agent.teaching.learning_agent import LearningAgent
from teachmesh.agent.teaching.match_task import match_folder
from teachmesh.agent.teaching.shared_tasks import (
    Comparison,
    Invitation,
    compare,
    invite_to_task,
)
from teachmesh.agent.teaching.shrink_skill import Shrunk, shrink_task
from teachmesh.data.loader import Progress
from teachmesh.mapping.typicality import FALSE_ALARMS

if TYPE_CHECKING:
    from teachmesh.agent.on_mesh.node import Node
    from teachmesh.agent.teaching.onnx_export import ExportedOnnx
    from teachmesh.data.image_inputs import AskedImages
    from teachmesh.data.labelled_images import TaskData
    from teachmesh.reuse.source_skills import MatchReport


class Agent(LearningAgent):
    """An agent that learns tasks, receives skills and predicts with all of them.

    Several threads may call any method of one agent. Tasks are learned one after another. Images
    pass through the backbone in parallel, and each answer belongs to one state of the bank: before
    or after a skill was added. Several agents of one process may use one home.

    Args:
        home: folder of the agent; by default `TEACHMESH_HOME`, otherwise the user's data folder.
        backbone: alias of the backbone; by default that of the settings, initially `embedded`.
        mapper: task mapper to predict with (`moments`, `gmmc`, `maha`), or variant to learn with
            (such as `maha+bb`, see `learning.variants`), whose mapper then predicts; by default
            from the home's settings.
        device: `auto`, `cpu`, `cuda`, `cuda:1` or `mps`; an unavailable device is an error.
        engine: `torch`, or `openvino` on a processor, which needs the extra of this name.
        dtype: `fp32`; `bf16`, an error on devices without it; or `auto` for the faster of the two.
        bank: folder of a bank to use instead of the home's, for experiments.
        ridge: ridge of the task mapper `maha`, for experiments; None for the default.
        reading: True to create nothing if the home is missing, and to write nothing if it is
            read-only.

    Raises:
        UsageError: the mapper is unknown.
        DeviceError: the engine or the number type is unknown, or the device does not have it.
        MissingExtraError: the engine is not installed.
        BackboneError: the backbone is unknown (raised on its first use).
        StorageError: the home cannot be used.

    Examples:
        >>> import tempfile
        >>> import numpy as np
        >>> agent = Agent(tempfile.mkdtemp())
        >>> draws = np.random.default_rng(0)
        >>> images = draws.integers(0, 255, (6, 32, 32, 3), dtype=np.uint8)
        >>> images[3:] //= 9
        >>> labels = ["bright"] * 3 + ["dark"] * 3
        >>> agent.learn((images, labels), name="light", split=(0, 0)).classes
        ('bright', 'dark')
        >>> list(agent.skills), agent.predict_one(images[0]).class_name
        (['light'], 'bright')
        >>> agent.evaluate((images, labels), task="light", images="all").final
        1.0
        >>> [prediction.task for prediction in agent.predict(images[:2])]
        ['light', 'light']
    """

    @checked
    def match(
        self,
        data: TaskData,
        *,
        name: str | None = None,
        mode: str = "auto",
        encoder: str = "auto",
        method: str | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> MatchReport:
        """List classes of the bank that match those of a task, and preview the transfer.

        Nothing is learned or saved. See `match_task.match_folder` for arguments and errors.
        """
        return match_folder(
            self,
            data,
            name=name,
            mode=mode,
            encoder=encoder,
            method=method,
            seed=seed,
            progress=progress,
        )

    @checked
    @one_at_a_time
    def correct(self, image: str | Path, *, task: str, class_name: str) -> Correction:
        """Learn a photo as a class of a task that this agent learned, or has a part of.

        Args:
            image: path of the photo.
            task: name of the task.
            class_name: a class of the task. If the photo was learned as another one, it leaves that
                first.

        Raises:
            DataError: the photo, the class or the task cannot be used.
            UsageError: another agent learned the task and has not invited this one, its method
                needs all images, or the photo is in another agent's part.
            StorageError: the skill cannot be saved.
        """
        return correct_answer(self, image, task, class_name)

    @checked
    @one_at_a_time
    def shrink(self, task: str, max_bytes: int) -> Shrunk:
        """Replace the skill of a task by a version with fewer bytes; see `shrink_task`.

        Args:
            task: name of the task, which this agent learned with `moments`.
            max_bytes: maximum size of the new version.

        Raises:
            DataError: there is no such task.
            UsageError: another agent learned the task, it has parts or biases, or nothing fits.
            StorageError: the skill cannot be saved.
        """
        return shrink_task(self, task, max_bytes)

    @checked
    @one_at_a_time
    def invite_to_task(
        self, task: str, agents: str | Sequence[str] = (), *, remove: str | Sequence[str] = ()
    ) -> Invitation:
        """Let other agents contribute parts to a task of this agent.

        See `shared_tasks.invite_to_task`.

        Args:
            task: name of the task.
            agents: public keys of agents, or agent ids or aliases of authors of skills here.
            remove: members to exclude; their parts do not count any more.

        Raises:
            DataError: there is no such task or agent, or the task's statistics were not kept.
            UsageError: the task has another author or another method, or an agent is no member.
            StorageError: the decision cannot be saved.
        """
        added, removed = (
            agent_keys(self, [given] if isinstance(given, str) else given)
            for given in (agents, remove)
        )
        return invite_to_task(self, task, added, removed)

    @checked
    def parts(self, task: str | None = None) -> list[PartInfo]:
        """Describe the parts of one task or of all; see `manage_parts.list_parts`.

        Raises:
            DataError: there is no such task.
        """
        return list_parts(self, task)

    @checked
    @one_at_a_time
    def withdraw_part(self, part: str) -> WithdrawnPart:
        """Take a part out of its task, exactly; see `manage_parts.withdraw_part`.

        Args:
            part: id of the part, or its beginning.

        Raises:
            DataError: no part matches, or several do.
            UsageError: the part is another agent's, or the owner's last one.
            StorageError: the withdrawal cannot be saved.
        """
        return withdraw_part(self, part)

    @checked
    def compare_parts(self, task: str) -> Comparison:
        """Make a skill again from its parts and compare; see `shared_tasks.compare`.

        Raises:
            DataError: the task has no parts here, or this agent does not hold all of them.
            StorageError: a part is damaged.
        """
        return compare(self, task)

    @checked
    def history(self, task: str) -> list[SkillVersion]:
        """Return all held versions of a task, newest first; see `skill_versions.skill_history`."""
        return skill_history(self, task)

    @checked
    @one_at_a_time
    def restore(self, task: str, version: str | int | None = None) -> Restored:
        """Make an earlier version active on all agents; see `skill_versions.restore_version`."""
        return restore_version(self, task, version)

    @checked
    @one_at_a_time
    def combine(
        self,
        name: str,
        classes: Sequence[str],
        *,
        tasks: Sequence[str] = (),
        encoder: str = "auto",
        rows: str | None = None,
        replace: bool = False,
        force: bool = False,
    ) -> Combination:
        """Combine classes of the bank into a new task without any image, and save it.

        See `combine_classes.combine_known` for arguments and errors.
        """
        return combine_known(
            self,
            name,
            classes,
            tasks=tasks,
            encoder=encoder,
            rows=rows,
            replace=replace,
            force=force,
        )

    @checked
    def evaluate(
        self,
        data: TaskData,
        *,
        task: str | None = None,
        images: str = "test",
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Evaluation:
        """Measure the accuracy on labelled images of a learned task, without a task oracle.

        Args:
            data: labelled images, as for `learn`.
            task: name of the learned task; by default the name of the folder.
            images: "test" for the images that `learn` does not use, "all" if it saw none of them.
            seed: seed of the split, as for `learn`, if the data has no splits.
            progress: called with (images done, images in total).

        Raises:
            DataError: no skill has the name, its classes differ, or no image can be used.
            UsageError: an argument is invalid.
        """
        return evaluate_task(self, data, task=task, images=images, seed=seed, progress=progress)

    @checked
    def export(
        self, skill: str, path: str | Path | None = None, *, network: bool = False
    ) -> Exported:
        """Write a skill to a file: its signed bytes, or a network that runs without teachmesh.

        Args:
            skill: name of the task, `task@author`, or the first characters of the id.
            path: file to write; by default the skill's name, ending with `.skill` or `.pt2`.
            network: whether to write the classifier of the task as a `torch.export` program.

        Raises:
            DataError: no skill has this name, several have, or its backbone is not installed.
            UsageError: the skill's features come from many layers (Head2Toe).
            StorageError: the skill is damaged, or the file cannot be written.
        """
        if not network:
            return super().export(skill, path)
        # Imported here because it is slow and rarely needed.
        from teachmesh.agent.teaching.network_export import export_network

        info = self.find(skill)
        target = Path(path) if path is not None else Path(f"{info.file_stem}.pt2")
        return Exported(info.id, target, export_network(self, info.id, target))

    @checked
    def export_onnx(
        self,
        path: str | Path,
        *,
        skill: str | None = None,
        images: AskedImages | Sequence[AskedImages] | None = None,
        false_alarms: float = FALSE_ALARMS,
    ) -> ExportedOnnx:
        """Write all skills, or one, as an ONNX file that answers without teachmesh.

        The file is compared with the agent first, and not written if its answers differ.

        Args:
            path: file to write.
            skill: name of the task, `task@author`, or the first characters of the id; None for
                all skills that answers use.
            images: images to compare with; by default synthetic ones.
            false_alarms: fraction of known images that may be called unknown, with all skills.

        Raises:
            DataError: no skill can be used, none has this name, or no image can be read.
            UsageError: a skill or the mapper cannot be written, or an argument is invalid.
            BackboneError: the network cannot be written, or the answers differ.
            MissingExtraError: the extra `onnx` is not installed.
            StorageError: the file cannot be written.
        """
        # Imported here because it is slow and rarely needed.
        from teachmesh.agent.teaching.onnx_export import export_agent_onnx, export_skill_onnx

        if skill is not None:
            return export_skill_onnx(self, skill, Path(path), images)
        return export_agent_onnx(self, Path(path), images, false_alarms)

    @checked
    def share(
        self,
        *,
        listen: str | Sequence[str] = "127.0.0.1:0",
        join: str | Sequence[str] = (),
        transport: str = "zenoh",
        tls: bool = False,
        insecure: bool = False,
        on_event: Callable[[dict[str, Any]], None] | None = None,
        discover: bool = False,
    ) -> Node:
        """Return a node that shares skills with other agents, to be used in a `with` statement.

        Sharing starts when the block is entered, runs in threads of its own, and has stopped when
        the block is left. Outside loopback the traffic is encrypted, and only agents of the same
        mesh can connect.

        Args:
            listen: endpoints to listen on; by default a free port of this machine.
            join: endpoints of any agents of the mesh, or invites of one (`teachmesh invite`).
            transport: "zenoh", or a transport of an installed package.
            tls: whether to encrypt on loopback, too.
            insecure: whether to allow plain connections outside loopback, for laboratories.
            on_event: called with one dict per event, see `node.Node`; by default events are logged.
            discover: whether to find agents on the local network, and to try the endpoints of
                earlier runs again.

        Raises:
            UsageError: the transport is unknown.
            NetworkError: an endpoint is not valid or not encrypted (some checks are on entering),
                or an invite is refused.
            ConfigError: the agent is in no mesh yet, or another process runs the agent of this home
                (raised on entering).
        """
        # Imported here because the network is slow to load and not needed otherwise.
        from teachmesh.agent.on_mesh.share_skills import share_skills

        return share_skills(
            self, listen, join, transport, on_event, tls=tls, insecure=insecure, discover=discover
        )
