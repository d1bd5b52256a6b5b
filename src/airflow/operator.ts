/** The operator of every exported DAG, in Python. */
export const OPERATOR = `class Nightfreight(BaseOperator):
    """One step of a run. Exit codes 75 and 130 may pass: Airflow tries again; every other one is final."""

    template_fields = ("step",)

    def __init__(self, *, step: str, **kwargs):
        super().__init__(**kwargs)
        self.step = step
        self.hook = None

    def execute(self, context):
        run = context["dag_run"]
        command = ["nightfreight", "task", "run", JOB, "--run", run.run_id, "--task", self.step]
        if run.run_type in ("scheduled", "backfill") and run.data_interval_end:
            command += ["--at", run.data_interval_end.isoformat()]
        self.hook = SubprocessHook()
        code = self.hook.run_command(command).exit_code
        if code in (75, 130):
            raise AirflowException(f"{self.step}: exit code {code}, tried again")
        if code != 0:
            raise AirflowFailException(f"{self.step}: exit code {code}, a repeat gives the same")

    def on_kill(self):
        if self.hook:
            self.hook.send_sigterm()
`
