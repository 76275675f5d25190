#!/usr/bin/env python3
"""scripts/start reads its file without executing it, says what it would do, and restarts what fails. In place of spate
stand small programs that write down how they were started."""
import os
import signal
import subprocess
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
START = os.path.join(ROOT, 'scripts/start')
SECONDS = 30

# Appends a line to `runs` at each start, and does then what the next line of `plan` says.
PROGRAM = '''#!/bin/bash
cd "$(dirname "$0")"
echo "$SPATE_LISTEN|$SPATE_USERS|$*|$(ulimit -c)" >>runs
plan=$(sed -n "$(wc -l <runs)p" plan)
for signal in TERM INT HUP; do trap "echo got $signal >>heard; [ $signal = HUP ] || exit 0" $signal; done
case $plan in
stay) echo $$ >stays; while :; do sleep 0.01; done ;;
abort) kill -ABRT $$ ;;
*) exit $plan ;;
esac
'''


class Start(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        self.program = self.write('spate', PROGRAM)
        os.chmod(self.program, 0o755)

    def write(self, name, text):
        path = os.path.join(self.root, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return path

    def read(self, name):
        try:
            with open(os.path.join(self.root, name), encoding='utf-8') as file:
                return file.read()
        except FileNotFoundError:
            return ''

    def command(self, *arguments):
        return [START, '--binary', self.program, '--env', os.path.join(self.root, 'env'), *arguments]

    def begin(self, plan, *arguments, **environment):
        self.write('plan', '\n'.join(plan) + '\n')
        if not os.path.exists(os.path.join(self.root, 'env')):
            self.write('env', '')
        clean = {k: v for k, v in os.environ.items() if not k.startswith('SPATE_') and k != 'NOTIFY_SOCKET'}
        process = subprocess.Popen(self.command(*arguments), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   stdin=subprocess.DEVNULL, env={**clean, **environment})
        self.addCleanup(process.stdout.close)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def run_to_end(self, plan, *arguments, **environment):
        process = self.begin(plan, *arguments, **environment)
        said = process.communicate(timeout=SECONDS)[0]
        return process.returncode, said

    def wait_for(self, name, text=''):
        deadline = time.monotonic() + SECONDS
        while text not in (found := self.read(name)) or not found:
            self.assertLess(time.monotonic(), deadline, f'{name}: {text}')
            time.sleep(0.01)


class Environment(Start):
    def test_values_are_taken_as_they_stand_and_never_executed(self):
        self.write('env', '# a comment\n\n; another\n  SPATE_LISTEN = $(touch executed) `touch executed` # no comment  \n')
        status, said = self.run_to_end(['0'])
        self.assertEqual(status, 78, said)  # blanks around the =
        self.write('env', '# a comment\n\n; another\n  SPATE_LISTEN=$(touch executed) `touch executed` # $HOME  \nSPATE_USERS="a b"')
        status, said = self.run_to_end(['0'], '--', '--x', '1 2')
        self.assertEqual(status, 0, said)
        self.assertTrue(self.read('runs').startswith('$(touch executed) `touch executed` # $HOME|a b|run --x 1 2|'), self.read('runs'))
        self.assertFalse(os.path.exists(os.path.join(self.root, 'executed')))

    def test_the_environment_wins_over_the_file(self):
        self.write('env', 'SPATE_LISTEN=file\nSPATE_USERS=file\n')
        self.run_to_end(['0'], SPATE_LISTEN='mine')
        self.assertTrue(self.read('runs').startswith('mine|file|run|'), self.read('runs'))

    def test_what_is_wrong_is_told_with_its_line_and_nothing_starts(self):
        for text, words in (('SPATE_LISTEN\n', ':1: '), ('\nLD_PRELOAD=x\n', ':2: "LD_PRELOAD"'), ('export SPATE_LISTEN=x\n', 'export'),
                            ('SPATE_LISTEN="x\n', 'quote'), ("SPATE_LISTEN='\n", 'quote'), ('SPATE_LISTEN="a"b"\n', 'quotes'), ('SPATE_listen=x\n', 'name'),
                            ('SPATE_LISTEN=a\nSPATE_LISTEN=b\n', ':2: SPATE_LISTEN stands there'), ('SPATE_LISTEN=a\\\n', 'backslash'),
                            ('PATH=/tmp\n', 'PATH')):
            self.write('env', text)
            status, said = self.run_to_end(['0'])
            self.assertEqual(status, 78, (text, said))
            self.assertIn(words, said)
        self.assertEqual(self.read('runs'), '')

    def test_a_file_that_everyone_may_write_is_refused(self):
        os.chmod(self.write('env', 'SPATE_LISTEN=x\n'), 0o666)
        status, said = self.run_to_end(['0'])
        self.assertEqual(status, 78)
        self.assertIn('chmod o-w', said)

    def test_the_example_is_sound(self):
        done = subprocess.run([START, '--dry-run', '--binary', self.program, '--env', os.path.join(ROOT, 'scripts/service/spate.env')],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)


class Arguments(Start):
    def test_mistakes_are_told(self):
        for arguments in (['--evn', 'x'], ['--pidfile'], ['--backoff', 'soon'], ['spate']):
            self.assertEqual(self.run_to_end(['0'], *arguments)[0], 2, arguments)
        self.assertEqual(self.run_to_end(['0'], '--binary', self.root)[0], 78)
        self.assertEqual(self.run_to_end(['0'], '--env', self.root + '/missing')[0], 78)
        self.assertEqual(self.run_to_end(['0'], '--taskset', '0-x')[0], 78)
        self.assertEqual(self.run_to_end(['0'], '--supervise', NOTIFY_SOCKET='/run/systemd/notify')[0], 2)
        self.assertEqual(self.read('runs'), '')

    def test_a_dry_run_tells_and_does_nothing(self):
        self.write('env', 'SPATE_LISTEN=127.0.0.1:0\nSPATE_TOKEN=secret\n')
        status, said = self.run_to_end(['0'], '--dry-run', '--supervise', '--cpus', '0', '--pidfile', self.root + '/pid', '--', '--memory', '1GiB')
        self.assertEqual(status, 0, said)
        for words in ('SPATE_LISTEN=127.0.0.1:0', 'nofile', 'restart', 'on CPUs 0', self.root + '/pid', 'run --memory 1GiB'):
            self.assertIn(words, said)
        self.assertNotIn('secret', said)
        self.assertEqual(sorted(os.listdir(self.root)), ['env', 'plan', 'spate'])

    def test_the_process_becomes_spate_and_its_status_is_that_of_spate(self):
        process = self.begin(['stay'], '--pidfile', self.root + '/pid')
        self.wait_for('stays', '\n')
        self.assertEqual(int(self.read('stays')), process.pid)
        self.assertEqual(int(self.read('pid')), process.pid)
        process.terminate()
        self.assertEqual(process.wait(SECONDS), 0)
        self.assertEqual(self.run_to_end(['0', '69'])[0], 69)


class Supervision(Start):
    def test_what_fails_is_started_again_later_each_time(self):
        status, said = self.run_to_end(['1', 'abort', '69', '3', '78'], '--supervise', '--backoff', '0.02', '--backoff-max', '0.05')
        self.assertEqual(status, 78)
        self.assertEqual(len(self.read('runs').splitlines()), 5)
        self.assertEqual([word for word in said.split() if word.startswith('restart_in_ms=')],
                         [f'restart_in_ms={ms}' for ms in (20, 40, 50, 50)])
        self.assertIn('signal=ABRT', said)
        self.assertNotIn('scripts/start: line', said)  # bash's own words for it

    def test_a_good_run_begins_anew(self):
        _, said = self.run_to_end(['1', '1', '1', '0'], '--supervise', '--backoff', '0.02', '--good-run', '0')
        self.assertEqual([word for word in said.split() if word.startswith('restart_in_ms=')], ['restart_in_ms=20'] * 3)

    def test_usage_configuration_and_an_orderly_end_are_not_started_again(self):
        for status in (0, 2, 78):
            self.write('runs', '')
            self.assertEqual(self.run_to_end([str(status)], '--supervise')[0], status)
            self.assertEqual(len(self.read('runs').splitlines()), 1)

    def test_signals_are_passed_on_and_the_end_is_the_end(self):
        for number, name in ((signal.SIGTERM, 'TERM'), (signal.SIGINT, 'INT')):
            for file in ('runs', 'heard', 'stays'):
                self.write(file, '')
            process = self.begin(['stay'], '--supervise', '--pidfile', self.root + '/pid')
            self.wait_for('stays', '\n')
            self.assertEqual(int(self.read('pid')), process.pid)
            self.assertNotEqual(int(self.read('stays')), process.pid)
            process.send_signal(signal.SIGHUP)
            self.wait_for('heard', 'got HUP\n')
            process.send_signal(number)
            self.assertEqual(process.wait(SECONDS), 0, process.stdout.read())
            self.assertEqual(self.read('heard'), f'got HUP\ngot {name}\n')
            self.assertEqual(len(self.read('runs').splitlines()), 1)
            self.assertFalse(os.path.exists(self.root + '/pid'))

    def test_it_ends_also_while_it_waits_to_start_again(self):
        process = self.begin(['1', '0'], '--supervise', '--backoff', '600', '--backoff-max', '600')
        self.wait_for('runs', '\n')
        while 'restart_in_ms' not in process.stdout.readline():
            pass
        process.terminate()
        self.assertEqual(process.wait(SECONDS), 1)

    def test_spate_ends_when_its_supervisor_is_killed(self):
        process = self.begin(['stay'], '--supervise')
        self.wait_for('stays', '\n')
        process.kill()
        self.wait_for('heard', 'got TERM\n')

    def test_one_pid_file_is_for_one(self):
        process = self.begin(['stay', '0'], '--supervise', '--pidfile', self.root + '/pid')
        self.wait_for('stays', '\n')
        status, said = self.run_to_end(['stay', '0'], '--pidfile', self.root + '/pid')
        self.assertEqual(status, 78)
        self.assertIn(str(process.pid), said)
        process.terminate()
        process.wait(SECONDS)
        self.write('pid', '2147483000\n')  # left behind by one that was killed
        self.assertEqual(self.run_to_end(['0', '0', '0'], '--pidfile', self.root + '/pid')[0], 0)


if __name__ == '__main__':
    unittest.main()
