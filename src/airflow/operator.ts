/** What does the steps of an exported DAG: a process of the worker, or a container of an image. */
export const OPERATORS = ['bash', 'docker', 'kubernetes'] as const

export interface Operator {
  kind: (typeof OPERATORS)[number]
  /** Of containers. */
  image?: string
  /** Names of variables that containers get as the worker has them. */
  env: string[]
  /** Kubernetes Secrets whose entries are variables of the pods. */
  secrets: string[]
  /** Variables that are the URIs of Airflow's connections, by name. */
  connections: Record<string, string>
}

/** The operator in Python, what it imports, and constants that it reads. */
export interface OperatorText {
  imports: string[]
  /** Names of `airflow.sdk`. */
  sdk: string[]
  constants: string[]
  text: string
}

const quoted = (text: string) => JSON.stringify(text)
const list = (all: string[]) => `[${all.map(quoted).join(', ')}]`

/** How the steps of a run are done. */
export function operatorText({ kind, image = '', env, secrets, connections }: Operator): OperatorText {
  const uris = Object.entries(connections).map(([name, id]) => `${quoted(name)}: ${quoted(id)}`)
  const given = uris.length > 0 ? [`CONNECTIONS = {${uris.join(', ')}}`] : []
  const fromAirflow = '{name: Connection.get(id).get_uri() for name, id in CONNECTIONS.items()}'
  switch (kind) {
    case 'bash':
      return {
        imports: [
          ...(uris.length > 0 ? ['import os'] : []),
          'from airflow.providers.standard.hooks.subprocess import SubprocessHook',
        ],
        sdk: ['BaseOperator', ...(uris.length > 0 ? ['Connection'] : [])],
        constants: given,
        text: BASH(uris.length > 0 ? `{**os.environ, **${fromAirflow}}` : 'None'),
      }
    case 'docker': {
      const values = [
        ...(env.length > 0 ? ['**{name: os.environ[name] for name in VARIABLES if name in os.environ}'] : []),
        ...(uris.length > 0 ? [`**${fromAirflow}`] : []),
      ]
      return {
        imports: [
          ...(env.length > 0 ? ['import os'] : []),
          'from airflow.providers.docker.exceptions import DockerContainerFailedException',
          'from airflow.providers.docker.operators.docker import DockerOperator',
        ],
        sdk: uris.length > 0 ? ['Connection'] : [],
        constants: [
          `IMAGE = ${quoted(image)}`,
          ...(env.length > 0 ? [`VARIABLES = ${list(env)}`] : []),
          ...given,
        ],
        text: DOCKER(
          values.length > 0
            ? `        self._private_environment = {\n${values.map(value => `            ${value},\n`).join('')}        }\n`
            : '',
        ),
      }
    }
    case 'kubernetes':
      return {
        imports: [
          'from airflow.exceptions import AirflowException as PodFailed',
          'from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator',
          ...(secrets.length > 0 ? ['from kubernetes.client import models as k8s'] : []),
        ],
        sdk: [],
        constants: [
          `IMAGE = ${quoted(image)}`,
          ...(secrets.length > 0 ? [`SECRETS = ${list(secrets)}`] : []),
        ],
        text: KUBERNETES(
          secrets.length > 0
            ? '            env_from=[k8s.V1EnvFromSource(secret_ref=k8s.V1SecretEnvSource(name=name)) for name in SECRETS],\n'
            : '',
        ),
      }
  }
}

const DOC =
  '"""One step of a run. Exit code 75, and the end by a signal, may pass: Airflow tries again; all others are final."""'

const COMMON = `def arguments_of(step, context):
    """What nightfreight is told: the step, and which run it is of."""
    run = context["dag_run"]
    arguments = ["task", "run", JOB, "--run", run.run_id, "--task", step]
    if run.run_type in ("scheduled", "backfill") and run.data_interval_end:
        arguments += ["--at", run.data_interval_end.isoformat()]
    return arguments


def judge(step, code):
    """Ends a step that did not end well. A signal is told as -9, or by containers and shells as 137."""
    if code == 75 or code < 0 or code > 128:
        raise AirflowException(f"{step}: exit code {code}, tried again")
    raise AirflowFailException(f"{step}: exit code {code}, a repeat gives the same")
`

const BASH = (variables: string) => `${COMMON}

class Nightfreight(BaseOperator):
    ${DOC}

    template_fields = ("step",)

    def __init__(self, *, step: str, **kwargs):
        super().__init__(**kwargs)
        self.step = step
        self.hook = None

    def execute(self, context):
        self.hook = SubprocessHook()
        command = ["nightfreight", *arguments_of(self.step, context)]
        variables = ${variables}
        code = self.hook.run_command(command, env=variables).exit_code
        if code != 0:
            judge(self.step, code)

    def on_kill(self):
        if self.hook:
            self.hook.send_sigterm()
`

const DOCKER = (environment: string) => `${COMMON}

class Nightfreight(DockerOperator):
    ${DOC}

    template_fields = (*DockerOperator.template_fields, "step")

    def __init__(self, *, step: str, **kwargs):
        super().__init__(image=IMAGE, entrypoint=["nightfreight"], mount_tmp_dir=False, **kwargs)
        self.step = step

    def execute(self, context):
        self.command = arguments_of(self.step, context)
${environment}        try:
            super().execute(context)
        except DockerContainerFailedException:
            judge(self.step, self.cli.inspect_container(self.container["Id"])["State"]["ExitCode"])
        finally:
            if self.container:
                self.cli.remove_container(self.container["Id"], force=True)
`

const KUBERNETES = (secrets: string) => `${COMMON}

class Nightfreight(KubernetesPodOperator):
    ${DOC}

    template_fields = (*KubernetesPodOperator.template_fields, "step")

    def __init__(self, *, step: str, **kwargs):
        super().__init__(
            image=IMAGE,
            name="nightfreight",
            cmds=["nightfreight"],
${secrets}            # No worker waits for the pod: the triggerer does.
            deferrable=True,
            log_pod_spec_on_failure=False,
            **kwargs,
        )
        self.step = step

    def execute(self, context):
        self.arguments = arguments_of(self.step, context)
        return super().execute(context)

    def cleanup(self, pod, remote_pod, *args, **kwargs):
        try:
            super().cleanup(pod, remote_pod, *args, **kwargs)
        except PodFailed:
            # A pod whose node is gone has no exit code: another one may do the step.
            for status in remote_pod.status.container_statuses or []:
                if status.name == self.base_container_name and status.state and status.state.terminated:
                    judge(self.step, status.state.terminated.exit_code)
            raise
`
