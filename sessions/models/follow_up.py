"""FollowUp: what a person writes to the agent of a task: a queue that a worker hands over, one message a turn."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from django.conf import settings
from django.db import models, transaction
from django.db.models import F, Max, Min
from django.utils import timezone

from sessions.models.session import Phase, Session, State
from studio import disk
from studio.errors import Conflict, Forbidden, Invalid
from tasks.lifecycle import Status
from tasks.models import Attachment, Task
from tasks.models.attachment import MOST, Draft
from tasks.redaction import redact

if TYPE_CHECKING:
    from sessions.models.attempt import Attempt

TEXT_LIMIT = 20_000  # characters
MOST_QUEUED = 50
TALKS = (Phase.PLANNING, Phase.IMPLEMENTATION, Phase.FIX)  # the phases whose agent hears what people write
MAKES = (Phase.IMPLEMENTATION, Phase.FIX)
NOT_NOW = {
    Status.TODO: "It has not been started: write it into the description, then start it.",
    Status.DONE: "It is done; reopen it first.",
    Status.CANCELLED: "It is cancelled; reopen it first.",
}


class Ways(NamedTuple):
    """What becomes of a message now: with nothing at work it is sent at once; else it waits, or interrupts. `refusal` says why none does."""

    sends: bool = False
    queues: bool = False
    interrupts: bool = False
    refusal: str = ""


def ways(task: Task, attempt: "Attempt | None", live: Session | None) -> Ways:
    """How a message may go to the agent of the task's current attempt, whose session that has not ended is `live`."""
    if attempt is None or (live is None and task.status in NOT_NOW):
        return Ways(refusal=NOT_NOW[Status(task.status)])
    if attempt.is_stopping:
        return Ways(refusal="Its agent is being stopped.")
    if live is None:
        return Ways(sends=True)
    return Ways(queues=True, interrupts=live.phase in TALKS)


class FollowUpQuerySet(models.QuerySet["FollowUp"]):
    def visible_to(self, user: Any) -> "FollowUpQuerySet":
        """The messages in the projects that the person may see."""
        if user.is_superuser:
            return self
        mine = self.filter(attempt__task__project__memberships__user_id=user.pk)
        return mine if user.is_authenticated else self.none()

    def queued(self) -> "FollowUpQuerySet":
        """Those that wait, in the order in which they will be sent."""
        return self.filter(state=FollowUp.State.QUEUED).order_by("position", "pk")

    def unsettled(self) -> "FollowUpQuerySet":
        """Those that were being sent when the worker was lost: OpenCode alone knows whether it has them."""
        return self.filter(state=FollowUp.State.SENDING).exclude(message_id="")

    def called(self) -> "FollowUpQuerySet":
        """Those that a session is to be told at once."""
        return self.filter(state=FollowUp.State.SENDING, message_id="").order_by("pk")

    def write(
        self,
        task: Task,
        text: str,
        *,
        by: Any,
        interrupt: bool = False,
        drafts: Iterable[Draft] = (),
        attachments: Collection[int] = (),
    ) -> "FollowUp":
        """Send it where nothing runs, else queue it, or by `interrupt` have what runs stopped for it. Raises Conflict or Invalid.

        With it go files that were just uploaded, and those of the task's `attachments` that no other message has. Of the project's secrets in the text their names are left.
        """
        text = redact(task.project, text)
        with transaction.atomic():
            task.lock()
            attempt = task.current_attempt
            live = attempt.live_session if attempt else None
            allowed = ways(task, attempt, live)
            if allowed.refusal or attempt is None:
                raise Conflict(
                    f"{task.key} takes no message now. {allowed.refusal}", status_now=str(task.status)
                )
            if interrupt and live is not None and not allowed.interrupts:
                raise Conflict(
                    f"{live.get_phase_display()} cannot be interrupted for a message: queue it instead.",
                    code="not_interruptible",
                    session_id=live.pk,
                )
            message = attempt.follow_ups.add_last(attempt, text, by=by)
            message.attach(drafts, attachments, by=by)
            task.note("follow_up.queued", by=by, id=message.pk, text=text[:500])
            if live is None:
                attempt.follow_ups.begin(attempt, by=by)
            elif interrupt:
                message._call(live, by=by)
            message.refresh_from_db()
        return message

    def add_last(self, attempt: "Attempt", text: str, *, by: Any) -> "FollowUp":
        """A message at the end of the attempt's queue. Raises Invalid where that is full."""
        waiting = attempt.follow_ups.queued()
        if len(waiting) >= MOST_QUEUED:
            raise Invalid(
                f"{MOST_QUEUED} messages wait already.", fields={"text": "Delete one that waits, first."}
            )
        last = waiting.aggregate(last=Max("position"))["last"] or 0
        return self.create(attempt=attempt, text=text, by=by, position=last + 1)

    def begin(self, attempt: "Attempt", *, by: Any = None) -> Session:
        """With nothing at work: start the session that the first message goes to. In a transaction that holds the task's row."""
        task = attempt.task
        disk.require(task.project.path)
        planning = task.status in {Status.PLANNING, Status.PLANNING_REVIEW}
        if task.status == Status.PLANNING_REVIEW:
            task.move("follow-up", Status.PLANNING, by=by)
            again = False
        else:
            again = planning or (task.status in {Status.IN_PROGRESS, Status.FIX} and attempt.phase in MAKES)
        if task.status == Status.REVIEW:
            task.approvals.all().delete()
            attempt.reset_rounds()
        if not planning and not again and task.status != Status.FIX:
            task.move("follow-up", Status.FIX, by=by)
        phase = Phase.PLANNING if planning else Phase(attempt.phase) if again else Phase.FIX
        session = attempt.begin(phase, by=by, again=again, **({} if again else {"follow_up": True}))
        self.filter(pk__in=attempt.follow_ups.queued()[:1].values("pk")).update(
            state=FollowUp.State.SENDING, session=session
        )
        return session

    def next_for(self, session: Session) -> "FollowUp | None":
        """The message that the session is told next, out of people's reach from here on. In the transaction of the lease's owner."""
        rows = session.attempt.follow_ups
        message: FollowUp | None = rows.called().first() or rows.queued().first()
        if message is not None:
            message._set(state=FollowUp.State.SENDING, session=session)
        return message


class FollowUp(models.Model):
    """`message_id` is the id of the prompt that carries it, written before OpenCode is told: by it a later worker finds out
    whether OpenCode has it. `position` counts within those that are queued.
    """

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        SENDING = "sending", "Being sent"
        SENT = "sent", "Sent"
        WITHDRAWN = "withdrawn", "Deleted"

    attempt = models.ForeignKey("agent_sessions.Attempt", on_delete=models.CASCADE, related_name="follow_ups")
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    text = models.TextField()
    position = models.IntegerField(default=0)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    attachments = models.ManyToManyField(Attachment, related_name="follow_ups")
    session = models.ForeignKey(
        "agent_sessions.Session", on_delete=models.SET_NULL, null=True, related_name="follow_ups"
    )
    message_id = models.CharField(max_length=60, blank=True, help_text="Its prompt in the conversation.")
    created_at = models.DateTimeField(auto_now_add=True)
    edited_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True, help_text="When OpenCode had it.")

    objects = FollowUpQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["pk"]
        indexes: ClassVar = [models.Index(fields=["attempt", "state"], name="follow_up_by_state")]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(state__in=["queued", "sending", "sent", "withdrawn"]),
                name="follow_up_state_is_known",
            )
        ]

    def __str__(self) -> str:
        return f"follow-up {self.pk}"

    @property
    def task(self) -> Task:
        """The task whose agent it is for."""
        return self.attempt.task

    def attach(self, drafts: Iterable[Draft], known: Collection[int], *, by: Any) -> None:
        """Let it take these files, in the transaction that writes it. Raises Invalid."""
        mine = set(self.task.attachments.of_description().filter(pk__in=known))
        if len(mine) < len(set(known)) or len(mine) > MOST:
            wrong = f"Name up to {MOST} files of this task that no message has."
            raise Invalid(wrong, fields={"attachments": wrong})
        self.attachments.add(*mine, *self.task.attachments.keep(self.task, drafts, by=by))

    # --- verbs of people ------------------------------------------------------------------------------------------

    def edit(self, text: str, *, by: Any) -> None:
        """Change its words while it waits; only its author may."""
        if self.by_id != by.pk:
            raise Forbidden("Only who wrote a message may change its words.")
        text = redact(self.task.project, text)
        with transaction.atomic():
            self._hold()
            self._set(text=text, edited_at=timezone.now())
            self.task.note("follow_up.edited", by=by, id=self.pk, text=text[:500])

    def move_to(self, place: int, *, by: Any) -> None:
        """Make it the `place`th of those that wait, counted from 1; beyond the last is the last."""
        with transaction.atomic():
            self._hold()
            waiting = [each for each in self.attempt.follow_ups.queued() if each.pk != self.pk]
            waiting.insert(max(place, 1) - 1, self)
            for position, each in enumerate(waiting, start=1):
                if each.position != position:
                    each._set(position=position)
            self.task.note("follow_up.moved", by=by, id=self.pk, place=waiting.index(self) + 1)

    def withdraw(self, *, by: Any) -> None:
        """Take it out of the queue."""
        with transaction.atomic():
            self._hold()
            self._set(state=self.State.WITHDRAWN)
            self.task.note("follow_up.withdrawn", by=by, id=self.pk, text=self.text[:500])

    def _hold(self) -> None:
        """One verb after another, and none once a worker has it."""
        self.task.lock()
        self.refresh_from_db(fields=["text", "position", "state"])
        if self.state != self.State.QUEUED:
            said = {self.State.SENDING: "is being sent", self.State.SENT: "has been sent"}
            raise Conflict(f"The message {said.get(self.State(self.state), 'was deleted')} already.")

    def _call(self, live: Session, *, by: Any) -> None:
        """Have the session that runs stopped for it: its worker looks for such, and a session without one goes on."""
        first = self.attempt.follow_ups.queued().aggregate(first=Min("position"))["first"] or 0
        self._set(state=self.State.SENDING, session=live, position=first - 1)
        self.task.note("follow_up.interrupted", by=by, session_id=live.pk, id=self.pk)
        if live.state == State.WAITING:
            for request in live.requests.filter(state="open"):
                request.withdraw()
            self.attempt.wake()

    # --- verbs of the worker, under its claim ----------------------------------------------------------------------

    def hand_over(self, message_id: str) -> None:
        """It goes to OpenCode under this id next."""
        self._set(message_id=message_id)

    def is_in(self, parts: Iterable[Any]) -> bool:
        """Whether OpenCode has told of it, for the first time: one of these parts of messages is its own."""
        return self.state == self.State.SENDING and any(part.message_id == self.message_id for part in parts)

    def sent(self) -> None:
        """OpenCode has it."""
        now = timezone.now()
        mine = FollowUp.objects.filter(pk=self.pk, state=self.State.SENDING)
        if mine.update(state=self.State.SENT, sent_at=now):
            self.state, self.sent_at = self.State.SENT, now
            self.task.note("follow_up.sent", session_id=self.session_id, id=self.pk, text=self.text[:500])

    def back_into_queue(self) -> None:
        """OpenCode never had it: it is the first of those that wait."""
        first = self.attempt.follow_ups.queued().aggregate(first=Min("position"))["first"]
        position = F("position") if first is None else first - 1
        FollowUp.objects.filter(pk=self.pk, state=self.State.SENDING).update(
            state=self.State.QUEUED, session=None, message_id="", position=position
        )

    def _set(self, **fields: Any) -> None:
        FollowUp.objects.filter(pk=self.pk).update(**fields)
        for name, value in fields.items():
            setattr(self, name, value)
