"""The files of the pages about containers, Kubernetes and platforms, without an engine: what they run runs here.

What stands for the image is a virtual environment, into which the RUN of the Dockerfile installs.
"""

import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys

import pytest
import yaml

from tests.support.dockerfile import build

SECRET = 'a secret of more than 16 characters'
# until the next minute has begun, on a machine with much to do
A_MINUTE = 150
# what a service of compose.yaml has
KNOWN = {
    'build',
    'command',
    'depends_on',
    'environment',
    'healthcheck',
    'image',
    'ports',
    'restart',
    'stop_grace_period',
    'volumes',
}
# of Kubernetes, the oldest and the newest that the schemas are checked with
VERSIONS = ['1.28', '1.33']


@pytest.fixture(scope='module')
def deploy(root):
    return root / 'docs' / 'deploy'


@pytest.fixture(scope='module')
def compose(deploy):
    return yaml.safe_load((deploy / 'container' / 'compose.yaml').read_text())


@pytest.fixture(scope='module')
def image(root, deploy, tmp_path_factory):
    """Build the image in a folder, and add the environment of its commands."""
    folder = tmp_path_factory.mktemp('image')
    subprocess.run([sys.executable, '-m', 'venv', folder / 'venv'], check=True)
    # this checkout in place of a release, and without what a build leaves in it
    source = folder / 'pyramid_cron'
    source.mkdir()
    for name in ('setup.py', 'pyproject.toml', 'README.rst', 'CHANGES.rst', 'LICENSE', 'MANIFEST.in'):
        shutil.copy(root / name, source)
    shutil.copytree(root / 'pyramid_cron', source / 'pyramid_cron', ignore=shutil.ignore_patterns('__pycache__'))
    wheels = folder / 'wheels'
    subprocess.run([sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '-w', wheels, source], check=True)
    [wheel] = wheels.iterdir()
    # pip takes a version that is no release if it is named
    (folder / 'constraints').write_text(f'pyramid_cron == {wheel.name.split("-")[1]}\n')
    environ = {name: value for name, value in os.environ.items() if name not in ('PYTHONPATH', 'HOME')}
    environ |= {
        'PATH': os.pathsep.join([str(folder / 'venv' / 'bin'), environ['PATH']]),
        'PIP_CONSTRAINT': str(folder / 'constraints'),
        'PIP_FIND_LINKS': str(wheels),
        'PIP_DISABLE_PIP_VERSION_CHECK': '1',
        # as of an account without a home in the image
        'HOME': '/dev/null',
    }
    built = build(deploy / 'container', folder / 'root', environ)
    return built, environ


class Containers:
    """Starts commands in the image, with the environment of compose.yaml."""

    def __init__(self, image, environ, port, tmp_path):
        self.image, self.environ, self.port, self.tmp_path = image, environ, port, tmp_path
        # what they write is with the test, and the ini file of each test names its port
        self.folder = tmp_path / 'srv'
        shutil.copytree(image.folder, self.folder)
        ini = self.folder / 'container.ini'
        ini.write_text(ini.read_text().replace('0.0.0.0:6543', f'0.0.0.0:{port}'))
        self.processes = []

    def start(self, command):
        """Start a command, and return its process with its log."""
        words = [word.replace('0.0.0.0:6543', f'127.0.0.1:{self.port}') for word in command]
        words[0] = shutil.which(words[0], path=self.environ['PATH'])
        log = self.tmp_path / f'{len(self.processes)}.log'
        with log.open('wb') as output:
            process = subprocess.Popen(
                words, cwd=self.folder, env=self.environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        process.log = log
        self.processes.append(process)
        return process

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()
            print(f'--- {process.log.name}\n{process.log.read_text()}')


@pytest.fixture
def containers(image, compose, postgresql, free_port, tmp_path):
    built, environ = image
    given = {'CRON_SECRET': SECRET, 'DATABASE_PASSWORD': 'postgres'}

    def interpolate(value):
        return re.sub(r'\$\{(\w+):\?\}', lambda found: given[found[1]], value)

    documented = {name: interpolate(value) for name, value in compose['services']['web']['environment'].items()}
    assert compose['services']['cron']['environment'] == compose['services']['web']['environment']
    assert documented['CRON_SECRET'] == SECRET
    assert documented['CRON_STORE'] == 'postgresql+psycopg://demo:postgres@database/demo'
    assert postgresql.startswith('postgresql+psycopg://')
    running = Containers(built, environ | documented | {'CRON_STORE': postgresql}, free_port(), tmp_path)
    yield running
    running.stop()


def listens(curl, port):
    return curl(f'http://127.0.0.1:{port}/').body == 'Welcome\n'


def test_the_image_starts_without_rights_and_with_a_first_process_that_gets_signals(image):
    built, _ = image
    assert built.user.isdecimal()
    assert int(built.user) > 0
    # the form of a shell would keep SIGTERM to itself
    assert built.command[0] == 'gunicorn'


def test_compose_has_known_options_and_times_that_fit(compose, image):
    services = compose['services']
    assert set(compose) == {'x-demo', 'services', 'volumes'}
    assert {name for service in services.values() for name in service} <= KNOWN
    assert set(services) == {'web', 'cron', 'database'}
    assert services['web']['depends_on'] == {'database': {'condition': 'service_healthy'}}
    assert [volume.partition(':')[0] for volume in services['database']['volumes']] == list(compose['volumes'])
    graceful = image[0].command[image[0].command.index('--graceful-timeout') + 1]
    for name in ('web', 'cron'):
        assert int(services[name]['stop_grace_period'].removesuffix('s')) > int(graceful)
    # no other machine reaches it
    assert services['web']['ports'] == ['127.0.0.1:6543:6543']


def test_web_serves_and_cron_ticks_until_it_is_stopped(containers, compose, until, curl):
    web = containers.start(containers.image.command)
    cron = containers.start(compose['services']['cron']['command'])
    until(lambda: listens(curl, containers.port), 'the site is there', A_MINUTE, web)
    assert curl(f'http://127.0.0.1:{containers.port}/cron').status == 401
    until(lambda: 'greetings for' in cron.log.read_text(), 'the minute begins', A_MINUTE, cron)
    # the minute has been run: the store tells web so
    answer = curl(f'http://127.0.0.1:{containers.port}/cron', '-H', f'Authorization: Bearer {SECRET}')
    assert (answer.status, answer.body.startswith('ok')) == (200, True)
    for process in (cron, web):
        process.send_signal(signal.SIGTERM)
        assert process.wait(A_MINUTE) == 0
    assert 'ended by SIGTERM' in cron.log.read_text()
    assert 'ERROR' not in web.log.read_text() + cron.log.read_text()


def test_doctor_in_the_container_prints_what_the_page_shows(containers, until, curl, deploy_doctor):
    web = containers.start(containers.image.command)
    until(lambda: listens(curl, containers.port), 'the site is there', A_MINUTE, web)
    header = ('-H', f'Authorization: Bearer {SECRET}')
    assert curl(f'http://127.0.0.1:{containers.port}/cron', *header, max_time=100).body == 'ok'
    python = shutil.which('python', path=containers.environ['PATH'])
    # without a name in the image
    account = containers.image.user
    inside = {'account': account, 'folder': containers.folder, 'python': python, 'environ': containers.environ}
    deploy_doctor('containers', 'container.ini', containers.port, **inside)


# Kubernetes


def manifests(deploy):
    found = [(path.name, item) for path in deploy.glob('*.yaml') for item in yaml.safe_load_all(path.read_text())]
    assert {name for name, _ in found} == {'cronjob.yaml', 'job.yaml', 'web.yaml', 'work.yaml'}
    return found


def pod_of(manifest):
    template = manifest['spec']['template']
    return template['spec']


@pytest.mark.parametrize('version', VERSIONS)
def test_the_manifests_fit_the_schemas_of_kubernetes(deploy, version):
    if importlib.util.find_spec('kubernetes_validate') is None:
        lacking = pytest.fail if os.environ.get('CI') else pytest.skip
        lacking('kubernetes-validate is not installed')
    import kubernetes_validate

    for name, manifest in manifests(deploy):
        if name == 'job.yaml':
            manifest['spec']['template']['spec']['containers'][0]['command'] = ['pcron']
            manifest['metadata']['name'] = 'shop-cron-1'
        kubernetes_validate.validate(manifest, version, strict=True)
        manifest['spec']['unknwon'] = 1
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(manifest, version, strict=True)


def test_the_manifests_fit_together(deploy, image):
    [web, service], [work] = (
        [item for found, item in manifests(deploy) if found == name] for name in ('web.yaml', 'work.yaml')
    )
    for deployment in (web, work):
        assert deployment['spec']['selector']['matchLabels'] == deployment['spec']['template']['metadata']['labels']
    assert service['spec']['selector'] == web['spec']['selector']['matchLabels']
    # what pcron work serves no request with gets none
    assert service['spec']['selector'] != work['spec']['selector']['matchLabels']
    [cronjob] = [item for name, item in manifests(deploy) if name == 'cronjob.yaml']
    [url] = [word for word in curl_of(cronjob) if word.startswith('http')]
    assert url.startswith(f'http://{service["metadata"]["name"]}:{service["spec"]["ports"][0]["port"]}/')
    assert (work['spec']['replicas'], work['spec']['strategy']) == (1, {'type': 'Recreate'})
    graceful = image[0].command[image[0].command.index('--graceful-timeout') + 1]
    assert pod_of(web)['terminationGracePeriodSeconds'] > int(graceful)


def test_work_has_the_command_of_compose(deploy, compose):
    [work] = [item for name, item in manifests(deploy) if name == 'work.yaml']
    [container] = pod_of(work)['containers']
    assert container['command'] == compose['services']['cron']['command']


def curl_of(cronjob):
    """Return the command of the container of a CronJob."""
    job = cronjob['spec']['jobTemplate']['spec']
    [container] = job['template']['spec']['containers']
    [mount] = container['volumeMounts']
    assert f'@{mount["mountPath"]}/header' in container['args']
    # the pod ends after curl has
    assert job['activeDeadlineSeconds'] > int(container['args'][1])
    return [*container['command'], *container['args']]


def test_the_command_of_the_cronjob_triggers_a_run(containers, deploy, until, curl, tmp_path, program):
    web = containers.start(containers.image.command)
    until(lambda: listens(curl, containers.port), 'the site is there', A_MINUTE, web)
    [cronjob] = [item for name, item in manifests(deploy) if name == 'cronjob.yaml']
    replaced = {'/etc/cron/header': str(tmp_path / 'header'), 'http://demo:6543': f'http://127.0.0.1:{containers.port}'}
    command = curl_of(cronjob)
    for documented, real in replaced.items():
        assert sum(documented in word for word in command) == 1
        command = [word.replace(documented, real) for word in command]
    (tmp_path / 'header').write_text('Authorization: Bearer a secret that is another one')
    done = subprocess.run([program(command[0]), *command[1:]], capture_output=True, text=True, timeout=A_MINUTE)
    assert (done.returncode, 'fail' in done.stdout) == (22, True)
    (tmp_path / 'header').write_text(f'Authorization: Bearer {SECRET}')
    done = subprocess.run([program(command[0]), *command[1:]], capture_output=True, text=True, timeout=A_MINUTE)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
    assert 'greetings for' in web.log.read_text()


# platforms


def test_the_request_of_a_platform_triggers_a_run_through_a_proxy(containers, deploy, until, curl, tmp_path, program):
    program('curl')
    processes = yaml.safe_load((deploy / 'Procfile').read_text())
    assert set(processes) == {'web', 'cron'}
    # as platforms do: a shell, with the port in the environment
    containers.environ = containers.environ | {'PORT': str(containers.port)}
    web = containers.start(['sh', '-c', f'exec {processes["web"]}'])
    until(lambda: listens(curl, containers.port), 'the site is there', A_MINUTE, web)
    (tmp_path / '.cron-header').write_text(f'Authorization: Bearer {SECRET}\n')
    [line] = [line for line in (deploy / 'request.sh').read_text().splitlines() if not line.startswith('#')]
    assert 'https://shop.example.com/cron' in line
    line = line.replace('https://shop.example.com', f'http://127.0.0.1:{containers.port}')
    for more in ("-H 'X-Forwarded-For: 192.0.2.1' -H 'Via: 1.1 proxy' -H 'Host: shop.example.com'", '-X POST -d {}'):
        done = subprocess.run(
            ['/bin/sh', '-c', f'{line} {more}'], cwd=tmp_path, capture_output=True, text=True, timeout=A_MINUTE
        )
        assert (done.returncode, done.stderr) == (0, '')
        # the second one may be for the same minute
        assert done.stdout.startswith('ok')
    assert 'greetings for' in web.log.read_text()


def test_the_process_of_a_platform_is_that_of_compose(deploy, compose):
    processes = yaml.safe_load((deploy / 'Procfile').read_text())
    assert shlex.split(processes['cron']) == compose['services']['cron']['command']
