"""The bench of one job: the workspace and the OpenCode server that the phases of an attempt share."""

import contextlib
import logging
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from django.conf import settings

from sessions import environment, places, redaction, removal
from sessions.admission import setup_for
from sessions.halts import Parked
from sessions.ledger import Claim
from sessions.models import Attempt, FollowUp, ModelList, Request, Session
from sessions.models.session import State
from sessions.opencode import config, provider
from sessions.opencode.client import Client, OpenCodeError, message_id, sound
from sessions.opencode.follow import follow
from sessions.opencode.limits import Limits
from sessions.opencode.outcome import Outcome, failed
from sessions.opencode.parts import PartSnapshot, snapshot
from sessions.opencode.patience import patiently
from sessions.opencode.provider import Provider, ProviderProblem, usable_model
from sessions.opencode.pulse import ServerGone
from sessions.opencode.server import Server, ServerProblem, instructions_file
from sessions.opencode.status import Status
from sessions.opencode.stream import EventStream
from sessions.phases import attached, permissions
from sessions.phases.answers import Answers
from sessions.phases.desk import Desk
from sessions.phases.interruption import Interruption
from sessions.phases.prompts import resume, unheard
from sessions.reasons import Failed, Reason
from sessions.recorder import Recorder
from sessions.workspaces.git import Workspace
from sessions.workspaces.orphans import Brood
from sessions.workspaces.processes import giving_way
from sessions.workspaces.sandbox import availability, sweep
from studio import crash
from studio.errors import Refusal
from tasks.models import attachment

log = logging.getLogger(__name__)

T = TypeVar("T")
CALL_SECONDS = 60  # of one call: the first in a new workspace makes OpenCode set itself up there
SERVERS_OWN = {"unreachable", "timeout", "unauthorized", "not_json"}  # trouble that a new server mends


class Bench:
    """Both are made when they are first needed; after `close` nothing of the attempt runs."""

    def __init__(self, claim: Claim, brood: Brood | None = None) -> None:
        self.claim = claim
        self._brood = brood
        self._workspace: Workspace | None = None
        self._server: Server | None = None
        self._provider: Provider | None = None
        self._rules: permissions.Rules = {}
        self._given: dict[str, str] = {}
        self._told = ""
        self._secrets: dict[str, str] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="bench")

    @property
    def attempt(self) -> Attempt:
        """The attempt that is worked on."""
        return self.claim.attempt

    @property
    def workspace(self) -> Workspace:
        """The attempt's workspace. Raises Failed."""
        if self._workspace is None:
            with workspace_failures():
                removal.bring_back(self.claim, self.claim.tick)
                made, known = places.workspace(self.attempt), self.attempt
                if (known.set_up_at or known.read_only_tree) and not made.exists():
                    with self.claim.record():
                        known.set_up(done=False)
                        known.record(read_only_tree="")
                target = known.task.target
                base = made.create(target, self.claim.tick, base=known.base_oid, head=known.head_oid)
            crash.point("workspace-made")
            if not self.attempt.base_oid:
                with self.claim.record():
                    self.attempt.record(base_oid=base)
            self._workspace = made
        return self._workspace

    def copies(self, paths: list[str]) -> None:
        """These files are about to be copied into the workspace: from here on no commit of it has them."""
        with self.claim.record():
            self.attempt.copies(paths)
        self._workspace = None

    @property
    def provider(self) -> Provider:
        """Where answers come from. Raises Failed where the set-up cannot be used, or may not be without isolation."""
        if self._provider is None:
            try:
                self._provider = provider.current()
            except ProviderProblem as problem:
                raise Failed(Reason.PROVIDER_SETUP, str(problem)) from problem
        isolated = places.is_sandboxed() or not settings.STUDIO_SANDBOX
        if not isolated and not self._provider.is_demo:
            raise Failed(Reason.SANDBOX, availability().sentence)
        return self._provider

    @property
    def server(self) -> Server:
        """The running OpenCode server, started anew where it has died. Raises Failed."""
        if self._server is None or not self._server.alive():
            self._server = self._new_server()
            try:
                self._server.start(self.claim.tick)
                crash.point("server-up")
            except ServerProblem as problem:
                ended = problem.reason == "exited"  # its port was taken, perhaps: another start may do
                reason = Reason.SERVER_DIED if ended else Reason.AGENT_START
                raise Failed(reason, f"{problem}\n{problem.log}".strip()) from problem
            except OSError as error:
                raise Failed(Reason.AGENT_START, str(error)) from error
        return self._server

    @property
    def redactor(self) -> redaction.Redactor:
        """Knows the secrets as they are now, and those that what runs here was given before."""
        self._secrets |= redaction.secrets(self.attempt.task.project, self._provider)
        if self._server is not None:
            self._secrets[self._server.password] = "OPENCODE_SERVER_PASSWORD"
        return redaction.Redactor(self._secrets)

    def _server_for(self, session: Session) -> Server:
        """The running server with what people have allowed this session, and the project's variables and instructions; one with others is
        stopped first. Raises Failed."""
        project = self.attempt.task.project
        rules, given = permissions.granted(session), environment.for_agents(project)
        newest = project.instructions.first()
        told = newest.text if newest else ""
        if self._server is not None and (rules, given, told) != (self._rules, self._given, self._told):
            self._server.stop()
            self._server = None
        self._rules, self._given, self._told = rules, given, told
        return self.server

    def _new_server(self) -> Server:
        sandbox = self.workspace.sandbox
        project = self.attempt.task.project
        data = places.opencode_data(self.attempt)

        def launch(argv: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
            return sandbox.popen(
                giving_way(argv),
                network=True,
                env=self._given | env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )

        return Server(
            workspace=sandbox.workspace,
            data=data,
            provider=self.provider,
            config=config.build(
                self.provider,
                workspace=sandbox.workspace,
                data=data,
                permissions=self.attempt.task.policy.permissions,
                rules=self._rules,
                readable=attachment.folder(self.attempt.task_id),
                is_trusted=project.trusted,
                instructions=instructions_file(data) if self._told else None,
            ),
            launch=launch,
            instructions=self.redactor.text(self._told),
            is_trusted=project.trusted,
            redact=self.redactor.text,
        )

    def keep(self, message: str) -> str:
        """Commit all that is in the workspace and bring it into the project's repository; the commit's id. Raises Failed."""
        with workspace_failures():
            crash.point("before-commit")
            oid = self.workspace.commit(message, self.claim.tick)
            crash.point("committed")
            self.workspace.export(oid, self.claim.tick)
        crash.point("exported")
        with self.claim.record():
            self.attempt.record(head_oid=oid)
        crash.point("head-recorded")
        return oid

    def converse(self, session: Session, agent: str, text: str, message: FollowUp | None = None) -> str:
        """Send one prompt and follow it to its end, recording everything; the agent's last words. Raises Failed, or Parked.

        `message` is what a person wrote, where the prompt carries it. The words are empty where a person interrupted the agent.
        """
        answers = Answers(setup_for(self.provider, session.task.project, session.phase), self.attempt.pk)
        interruption = Interruption(session)
        try:
            outcome = self._converse(session, agent, text, answers, interruption, message)
            while outcome.reason == Reason.REJECTED and self._is_told_in_words(session):
                outcome = self._converse(session, agent, resume(session), answers, interruption, None)
        except ServerGone as gone:
            outcome = failed(Reason.SERVER_DIED, str(gone))
        except OpenCodeError as error:
            died = error.kind in SERVERS_OWN or self._server is None or not self._server.alive()
            outcome = failed(Reason.SERVER_DIED if died else Reason.AGENT_REFUSED, str(error))
        if outcome.reason in {Reason.SERVER_DIED, Reason.ABORTED} and session.awaits_answer:
            raise Parked  # OpenCode is gone, and the request is not
        if interruption.is_called and outcome.reason == Reason.ABORTED:
            return ""
        if not outcome.is_completed:
            raise answers.failure(outcome)
        return outcome.text

    def _is_told_in_words(self, session: Session) -> bool:
        """Whether OpenCode ended the run over a refusal: the agent is to hear it in the next prompt, and goes on."""
        with self.claim.record():
            return session.requests.refused_and_ended().have_to_be_told()

    def _converse(
        self,
        session: Session,
        agent: str,
        text: str,
        answers: Answers,
        interruption: Interruption,
        message: FollowUp | None,
    ) -> Outcome:
        client = self._server_for(session).client(timeout=CALL_SECONDS)
        stream = EventStream(self.server.base_url, self.server.password, str(self.server.workspace))
        try:
            self._wait_for(stream.open)
            model = self._model(answers, client)
            conversation = session.opencode_session_id or self._wait_for(
                lambda: client.create_session(str(session.task), {"session": session.pk})
            )
            crash.point("conversation-made")
            prompt = message_id()
            with self.claim.write():
                prompts = [*session.prompt_ids, prompt]
                session.advance(
                    State.RUNNING, opencode_session_id=conversation, prompt_ids=prompts, model=model
                )
                if message is not None:
                    message.hand_over(prompt)
            crash.point("prompt-noted")
            recorder = Recorder(self.claim, session)
            desk = Desk(self.claim, session, client)
            redactor = self.redactor  # of all that comes from OpenCode, before anybody else has it

            def hand_on(parts: list[PartSnapshot]) -> None:
                recorder.write(redactor.value(parts))
                answers.hand_on(parts)
                if message is not None and message.is_in(parts):
                    crash.point("message-heard")
                    with self.claim.record():
                        message.sent()

            def look(status: Status) -> None:
                status = redactor.value(status)
                desk.look(status)
                answers.look(status)

            answered = list(unheard(session))
            files = attached.parts(session.task, text)
            self._wait_for(lambda: client.prompt_async(conversation, prompt, agent, model, text, files))
            crash.point("prompt-sent")
            with self.claim.record():
                for request in answered:
                    request.delivered(Request.Delivery.PROMPT)
            outcome = follow(
                client, stream, conversation, prompt,
                tick=partial(self._tick, desk.tick), on_change=hand_on, on_status=look, gives_up=answers.gives_up,
                is_cut=interruption.look, limits=limits(),
            )  # fmt: skip
            crash.point("idle-seen")
            if self._server is not None and self._server.alive():  # `server` would start another one
                told = session.activity.filter(
                    message_id__in=prompts
                )  # a large change is read in several conversations
                homes = dict(told.values_list("message_id", "opencode_session_id"))
                everything = [
                    self._wait_for(partial(snapshot, client, homes.get(each, conversation), each))
                    for each in prompts
                ]
                recorder.settle(redactor.value([part for parts in everything for part in parts]))
            crash.point("activity-settled")
            return redactor.value(outcome)
        finally:
            stream.close()
            client.close()

    def has_heard(self, conversation: str, prompt: str) -> bool:
        """Whether OpenCode has this prompt in this conversation. Raises Failed."""
        if not conversation:
            return False
        try:
            with contextlib.closing(self.server.client(timeout=CALL_SECONDS)) as client:
                messages = self._wait_for(lambda: client.messages(conversation))
        except OpenCodeError as error:
            if error.kind == "not_found":
                return False
            raise Failed(Reason.SERVER_DIED, str(error)) from error
        except ServerGone as gone:
            raise Failed(Reason.SERVER_DIED, str(gone)) from gone
        return any(each["info"]["id"] == prompt for each in messages)

    def _wait_for(self, call: Callable[[], T]) -> T:
        """Call OpenCode while the lease goes on beating: on a busy machine its first answers take long."""
        return patiently(self._pool, partial(sound, call), partial(self._tick, self.claim.tick))

    def _tick(self, tick: Callable[[], None]) -> None:
        """The tick, and a look whether OpenCode is still there. Raises ServerGone too."""
        tick()
        if self._server is not None:
            self._server.check()

    def _model(self, answers: Answers, client: Client) -> str:
        known = self._wait_for(client.providers)
        ModelList.note(answers.setup.fingerprint, known)
        try:
            return self._wait_for(lambda: usable_model(answers.setup, known, client))
        except ProviderProblem as problem:
            raise answers.failure(failed(Reason.MODEL_MISSING, str(problem))) from problem

    def close(self) -> list[int]:
        """Stop everything of the attempt; the ids of processes that could not be ended (none: confirmed gone).

        The lease beats meanwhile. What is needed afterwards is made anew.
        """
        with ThreadPoolExecutor(1, thread_name_prefix="closing") as pool:  # the other may hang in a call
            return patiently(pool, self._end, self.claim.beat)

    def abandon(self) -> None:
        """Another owner has the attempt: end this one's own server, and touch nothing that may be the other's."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _end(self) -> list[int]:
        self.abandon()
        left = sweep(places.marker(self.attempt), 5.0, places.folder(self.attempt) / "workspace")
        return left or (self._brood.end() if self._brood else [])


@contextlib.contextmanager
def workspace_failures() -> Iterator[None]:
    """What git and the file system refuse becomes the named reason, with their own words."""
    try:
        yield
    except (Refusal, OSError) as error:
        raise Failed(Reason.WORKSPACE, str(error)) from error


def limits() -> Limits:
    """How long a session may be silent and may run, in seconds."""
    return Limits(
        quiet_seconds=settings.STUDIO_QUIET_SECONDS,
        stalled_seconds=settings.STUDIO_STALLED_SECONDS,
        progress_seconds=settings.STUDIO_PROGRESS_SECONDS,
        tool_seconds=settings.STUDIO_TOOL_SECONDS,
        retry_seconds=settings.STUDIO_RETRY_SECONDS,
        total_seconds=settings.STUDIO_SESSION_SECONDS,
    )
