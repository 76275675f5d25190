"""clients: runs the programs of clients/ against a server, each with a server of its own, and takes over their TAP."""
import os
import re
import shutil
import subprocess
import threading

from server import PATIENCE, Server

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, 'clients')
SECONDS = 100 * PATIENCE
VERDICT = re.compile(r'^(not )?ok \d+ - (.*?)(?: # SKIP (.*))?$')


def javascript(name):
    return lambda logs: ['node', '--no-warnings', '--test-reporter=tap', os.path.join(FOLDER, name)]


def c_program(name):
    def compile_it(logs):
        binary = os.path.join(logs, name)
        flags = subprocess.run(['pkg-config', '--cflags', '--libs', 'libnats'], check=True, capture_output=True, text=True)
        subprocess.run([shutil.which('gcc') or 'cc', '-std=gnu17', '-O1', '-g', '-Wall', '-Wextra', '-Werror', '-pthread', '-o', binary,
                        os.path.join(FOLDER, name + '.c'), *flags.stdout.split()], check=True)
        return [binary]
    return compile_it


PROGRAMS = {'nats.mjs': javascript('nats.mjs'), 'core.mjs': javascript('core.mjs'), 'libnats': c_program('libnats')}


def run(results, options):
    for name, command in PROGRAMS.items():
        if options.name not in name:
            continue
        try:
            with Server(options.server) as server:
                run_one(results, name, command(options.logs), server, options.logs)
                if trouble := server.end_well():
                    results.fail(f'{name}: the server ends well behind the suite', trouble)
        except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
            results.fail(f'{name} runs', error)


def run_one(results, name, command, server, logs):
    environment = os.environ | {'E2E_ADDRESS': '%s:%d' % server.address, 'E2E_PATIENCE': str(PATIENCE)}
    lines, log_path = [], os.path.join(logs, name + '.tap')
    with open(log_path, 'w', encoding='utf-8') as log:
        program = subprocess.Popen(['setpriv', '--pdeathsig', 'KILL', '--', *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                   text=True, env=environment)
        alarm = threading.Timer(SECONDS, program.kill)
        alarm.start()
        for line in program.stdout:
            if line == '@restart\n':
                server.restart()
                program.stdin.write('done\n')
                program.stdin.flush()
            lines.append(line.rstrip('\n'))
            log.write(line)
            log.flush()
        status = program.wait()
        alarm.cancel()
    take_over(results, name, lines, status, log_path)


def take_over(results, name, lines, status, log_path):
    failed_before, told = results.failed, 0
    for index, line in enumerate(lines):
        match = VERDICT.match(line)
        if not match:
            continue
        told += 1
        failed, sentence, skipped = match.groups()
        if skipped is not None:
            results.skip(sentence, skipped)
        elif failed:
            results.fail(sentence, details(lines[index + 1:]))
        else:
            results.passed(sentence)
    if (status and results.failed == failed_before) or not told:
        results.fail(f'{name} ends well', f'exit status {status} after {told} tests; see {log_path}')


def details(lines):
    """What stands between one verdict and the next, without the stack."""
    kept = []
    for line in lines:
        if VERDICT.match(line) or line.strip() in ('...', '1..') or line.strip().startswith('stack:') or len(kept) > 25:
            break
        if not line.strip().startswith(('---', 'duration_ms', 'type:', 'location:')):
            kept.append(line)
    return '\n'.join(kept)
