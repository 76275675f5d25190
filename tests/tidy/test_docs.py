#!/usr/bin/env python3
"""The pages say what is: the reference is what the program says, the manual is well formed, links lead somewhere, and what
a page calls a command, an option or a metric of spate is one.

    test_docs.py SPATE"""
import glob
import importlib.machinery
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPT = os.path.join(ROOT, 'scripts', 'docs')
PAGES = sorted([os.path.join(ROOT, 'README.md'), *glob.glob(os.path.join(ROOT, 'docs', '*.md'))])
MAN_PAGES = ['spate.1', 'spate.yaml.5']
SPATE = ''


def read(path):
    with open(path, encoding='utf-8') as file:
        return file.read()


def anchor(heading):
    """As GitHub makes it of a heading."""
    return re.sub(r'[^a-z0-9 _-]', '', heading.lower()).replace(' ', '-')


def code_of(text):
    """Indented lines and what stands between backticks."""
    for line in text.splitlines():
        if line.startswith('    '):
            yield line.strip()
        else:
            yield from re.findall(r'`([^`]+)`', line)


class Docs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        facts = json.loads(subprocess.run([SPATE, 'reference'], stdout=subprocess.PIPE, check=True).stdout)
        cls.commands = {command['name']: command for command in facts['commands']}

    def flags(self, name):
        command = self.commands[name]
        if not command['has_options']:
            said = subprocess.run([SPATE, name, '--help'], stdout=subprocess.PIPE, text=True, check=True).stdout
            return set(re.findall(r'--[a-z][a-z-]*', said)) | {'--help'}
        flags = {'--help'}
        for option in command['options']:
            flags.add('--' + option['name'])
            if option['type'] == 'bool':
                flags.add('--no-' + option['name'])
        return flags

    def test_the_reference_is_what_the_program_says(self):
        done = subprocess.run([SCRIPT, '--spate', SPATE, '--check'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stdout)

    def man_pages(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for page in MAN_PAGES:
            path = os.path.join(folder.name, page)
            with open(path, 'w', encoding='utf-8') as file:
                subprocess.run([SCRIPT, '--spate', SPATE, '--man', page], stdout=file, check=True)
            yield path

    def lint(self, *command):
        if shutil.which(command[0]) is None:
            self.skipTest(f'{command[0]} is not installed')
        for path in self.man_pages():
            done = subprocess.run([*command, path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            self.assertEqual((done.returncode, done.stdout), (0, ''), path)

    def test_mandoc_finds_no_fault_in_the_manual(self):
        self.lint('mandoc', '-T', 'lint', '-W', 'warning')

    def test_groff_finds_no_fault_in_the_manual(self):
        self.lint('groff', '-man', '-Tutf8', '-ww', '-z')

    def test_the_manual_has_every_command_and_option(self):
        text = read(next(self.man_pages())).replace('\\-', '-')
        for name, command in self.commands.items():
            self.assertIn(f'.SS spate {name}', text)
            for option in command['options']:
                self.assertIn(option['name'], text)

    def test_every_key_of_the_file_is_in_its_manual(self):
        text = read(list(self.man_pages())[1]).replace('\\-', '-')
        for option in self.commands['run']['options']:
            if option['key']:
                self.assertIn(f"\\fB{option['key'].split('.')[-1]}\\fR", text)

    def test_the_example_of_the_manual_is_a_legal_file(self):
        loader = importlib.machinery.SourceFileLoader('docs', SCRIPT)
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader('docs', loader))
        loader.exec_module(module)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'spate.yaml')
            with open(os.path.join(folder, 'users.yaml'), 'w', encoding='utf-8') as file:
                file.write('tokens:\n- {name: t, token: "sha256:' + '0' * 64 + '"}\n')
            with open(path, 'w', encoding='utf-8') as file:
                file.write(module.YAML.replace('cpus: 2-5', 'cpus: none')) # of this machine we know nothing
            done = subprocess.run([SPATE, 'check', '--config', path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  check=False)
            self.assertEqual(done.returncode, 0, done.stdout)

    def test_links_lead_somewhere(self):
        for page in PAGES:
            for target in re.findall(r'\]\(([^)\s]+)\)', read(page)):
                if re.match(r'[a-z]+:', target):
                    continue
                path, _, place = target.partition('#')
                to = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
                self.assertTrue(os.path.exists(to), f'{page}: {target}')
                if place and to.endswith('.md'):
                    places = [anchor(heading) for heading in re.findall(r'^#+ (.+)$', read(to), re.M)]
                    self.assertIn(place, places, f'{page}: {target}')

    def test_a_line_that_calls_spate_calls_what_there_is(self):
        for page in PAGES:
            if page.endswith('reference.md'): # written from the same tables
                continue
            for line in code_of(read(page)):
                for part in re.split(r'\s*(?:\||&&|;)\s*', re.sub(r'(?<=\s)#.*', '', line)):
                    self.look_at_call(page, part)

    def look_at_call(self, page, part):
        try:
            words = shlex.split(part)
        except ValueError:
            return
        while words and re.fullmatch(r'[A-Z_]+=.*|sudo|runuser|-u|--', words[0]):
            words.pop(0)
        if not words or words[0] not in ('spate', 'build/engine/spate', '/usr/local/bin/spate', 'scripts/run'):
            return
        is_run = words[0] == 'scripts/run' or len(words) < 2 or words[1].startswith('-')
        name = 'run' if is_run else words[1]
        if name.isupper() or name.startswith('['):
            return
        self.assertTrue(name in self.commands, f'{page}: {part}')
        known = self.flags(name) | {'--version'}
        for word in words[1:]:
            if word == '--':
                break
            if word.startswith('--'):
                self.assertIn(word.partition('=')[0], known, f'{page}: {part}')

    def test_a_metric_that_is_named_is_counted(self):
        reference = read(os.path.join(ROOT, 'docs', 'reference.md'))
        for page in PAGES:
            for name in re.findall(r'\bspate_[a-z_]+(?![a-z_]*[*.])', read(page)):
                self.assertIn(f'`{re.sub("_(bucket|sum|count)$", "", name)}`', reference, page)


if __name__ == '__main__':
    SPATE = os.path.abspath(sys.argv.pop(1))
    unittest.main()
