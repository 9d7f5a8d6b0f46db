"""What happens when a task has failed for good: nothing, unless Airflow's variables say otherwise.

nightreel_alert_webhook   a URL that gets the news as JSON, in the form of chat services:
                          {"text": "..."}
nightreel_alert_email     addresses, with commas between them; the mail server is the connection
                          `smtp_default`
"""

from typing import Any

from airflow.sdk import Variable


def alert(context: Any) -> None:
    """The callback of every task: tell whoever is named that it failed, and where to look."""
    task = context["ti"]
    subject = f"Nightreel: {task.dag_id}.{task.task_id} failed"
    reason = str(context.get("exception") or "no reason is known")
    send(subject, f"{subject} in run {task.run_id}: {reason}\n{task.log_url}")


def alert_of_timeout(context: Any) -> None:
    """The callback of every DAG: its time limit ends a run without any task having failed."""
    if context.get("reason") == "timed_out":
        run = context["dag_run"]
        subject = f"Nightreel: {run.dag_id} took too long"
        send(subject, f"{subject}: run {run.run_id} was ended.")


class NotTold(Exception):
    """The webhook did not take the news. Its address is a secret, which httpx would repeat."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"The webhook of nightreel_alert_webhook was not told: {problem}.")


def send(subject: str, text: str) -> None:
    """Tell whoever is named; what one way refuses still goes the other."""
    webhook = Variable.get("nightreel_alert_webhook", default=None)
    addresses = Variable.get("nightreel_alert_email", default=None)
    # Both ways take a while to import, and are needed here only.
    try:
        if webhook:
            import httpx

            try:
                answer = httpx.post(webhook, json={"text": text}, timeout=30)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                problem = type(error).__name__
            else:
                problem = "" if answer.is_success else f"it answered {answer.status_code}"
            if problem:
                raise NotTold(problem)
    finally:
        if addresses:
            from html import escape

            from airflow.providers.smtp.hooks.smtp import SmtpHook

            with SmtpHook(smtp_conn_id="smtp_default") as mail:
                to = [address.strip() for address in addresses.split(",")]
                html = f"<pre>{escape(text)}</pre>"
                mail.send_email_smtp(to=to, subject=subject, html_content=html)
