#!/usr/bin/env python3
"""What `spate completion` prints, in real shells: bash is asked what it would offer, zsh and fish read the scripts.

    completion.py SPATE"""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SPATE = ''

# Fills what bash fills when the tab key is hit, and prints the offers.
ASK = '''
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_spate 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
'''


def said(*arguments, status=0):
    done = subprocess.run([SPATE, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == status, (arguments, done)
    return done.stdout if status == 0 else done.stderr


class Completion(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.commands = {command['name']: command for command in json.loads(said('reference'))['commands']}

    def script(self, shell):
        path = os.path.join(self.folder, f'spate.{shell}')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(said('completion', shell))
        return path

    def read_by(self, shell):
        if shutil.which(shell) is None:
            self.skipTest(f'{shell} is not installed')
        done = subprocess.run([shell, '-n', self.script(shell)], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ''))

    def offers(self, *words):
        done = subprocess.run(['bash', '-c', ASK, 'bash', self.script('bash'), 'spate', *words], capture_output=True,
                              text=True, check=True, cwd=self.folder)
        self.assertEqual(done.stderr, '')
        return [word for word in done.stdout.split('\n') if word != '']

    def test_bash_reads_it(self):
        self.read_by('bash')

    def test_zsh_reads_it(self):
        self.read_by('zsh')

    def test_fish_reads_it(self):
        self.read_by('fish')

    def test_zsh_takes_it_for_the_completion_of_spate(self):
        if shutil.which('zsh') is None:
            self.skipTest('zsh is not installed')
        done = subprocess.run(['zsh', '-fc', 'autoload -U compinit && compinit -D && source $1 && print $_comps[spate]',
                               'zsh', self.script('zsh')], capture_output=True, text=True, check=False)
        self.assertEqual((done.stdout, done.stderr), ('_spate\n', ''))

    def test_fish_offers_the_same(self):
        if shutil.which('fish') is None:
            self.skipTest('fish is not installed')
        script = self.script('fish')
        for line, expected in (('spate stat', ['status']), ('spate run --lag-policy dr', ['drop-oldest']),
                               ('spate --lag-policy=dr', ['--lag-policy=drop-oldest']), ('spate pub --reque', ['--request']),
                               ('spate completion z', ['zsh'])):
            done = subprocess.run(['fish', '--no-config', '-c', 'source $argv[1]; complete -C $argv[2]', script, line],
                                  capture_output=True, text=True, check=False, cwd=self.folder,
                                  env={**os.environ, 'HOME': self.folder})
            offers = [offer.split('\t')[0] for offer in done.stdout.splitlines()]
            self.assertEqual((offers, done.stderr), (expected, ''), line)

    def test_every_command_is_offered(self):
        self.assertEqual(set(self.offers('')), set(self.commands))
        self.assertEqual(self.offers('stat'), ['status'])
        self.assertEqual(set(self.offers('help', '')), set(self.commands))

    def test_every_option_of_a_command_is_offered_and_no_other(self):
        for name, command in self.commands.items():
            if not command['has_options']:
                continue
            expected = {'--help'}
            for option in command['options']:
                expected.add('--' + option['name'])
                if option['type'] == 'bool':
                    expected.add('--no-' + option['name'])
            self.assertEqual(set(self.offers(name, '--')), expected, name)

    def test_the_load_generator_offers_what_its_help_lists(self):
        helped = said('bench', '--help')
        names = set(re.findall(r'^  (--[a-z-]+)', helped, re.M)) | {'--help'}
        self.assertEqual({name for name in self.offers('bench', 'fan', '--') if not name.startswith('--no-')}, names)
        modes = re.findall(r'^  ([a-z]+) ', helped[helped.index('modes'):helped.index('addresses')], re.M)
        self.assertEqual(self.offers('bench', ''), modes)

    def test_options_alone_are_those_of_run(self):
        self.assertEqual(self.offers('--lag-p'), ['--lag-policy'])
        self.assertEqual(self.offers('--backend', 'e'), ['epoll'])

    def test_words_of_a_value_are_offered(self):
        policies = ['disconnect', 'drop-oldest', 'conflate', 'block']
        self.assertEqual(self.offers('run', '--lag-policy', ''), policies)
        self.assertEqual(self.offers('run', '--lag-policy', '=', ''), policies)
        self.assertEqual(self.offers('run', '--lag-policy', '='), policies)
        self.assertEqual(self.offers('run', '--lag-policy', '=', 'dr'), ['drop-oldest'])
        self.assertEqual(self.offers('run', '--memory', 'a'), ['auto'])

    def test_a_switch_does_not_wait_for_a_value(self):
        self.assertEqual(self.offers('run', '--busy-poll', '--log-le'), ['--log-level'])
        self.assertEqual(self.offers('run', '--busy-poll', '=', 't'), ['true'])

    def test_files_are_offered_where_a_file_is_named(self):
        open(os.path.join(self.folder, 'users.yaml'), 'w', encoding='utf-8').close()
        self.assertEqual(self.offers('run', '--users', 'us'), ['users.yaml'])
        self.assertEqual(self.offers('run', '--users', '=', 'us'), ['users.yaml'])
        self.assertEqual(self.offers('run', '--cpus', 'us'), [])

    def test_a_first_argument_is_offered_once(self):
        self.assertEqual(self.offers('completion', ''), ['bash', 'zsh', 'fish'])
        self.assertEqual(self.offers('completion', 'zsh', ''), [])

    def test_nothing_is_an_option_behind_two_dashes(self):
        self.assertEqual(self.offers('pub', '--', '--'), [])

    def test_another_shell_is_refused(self):
        self.assertIn('bash, zsh or fish', said('completion', 'tcsh', status=2))
        self.assertIn('bash, zsh or fish', said('completion', status=2))


if __name__ == '__main__':
    SPATE = os.path.abspath(sys.argv.pop(1))
    unittest.main()
