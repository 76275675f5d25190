#!/usr/bin/env python3
"""scripts/service/install-service: what it puts where, what it keeps, and what it leaves behind when it removes."""
import os
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPT = os.path.join(ROOT, 'scripts/service/install-service')


class Install(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name

    def run_it(self, *arguments):
        done = subprocess.run([SCRIPT, *arguments, '--root', self.root], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def files(self):
        return sorted(os.path.relpath(os.path.join(where, name), self.root) for where, _, names in os.walk(self.root) for name in names)

    def read(self, path):
        with open(os.path.join(self.root, path), encoding='utf-8') as file:
            return file.read()

    def test_a_plan_changes_nothing(self):
        for verb in ('install', 'remove'):
            status, said = self.run_it(verb, '--plan', '--binary', '/bin/true')
            self.assertEqual(status, 0, said)
            self.assertEqual(self.files(), [])
        status, said = self.run_it('install', '--plan', '--binary', '/bin/true')
        self.assertIn('etc/systemd/system/spate.service', said)

    def test_what_is_installed_is_removed_but_the_settings(self):
        status, said = self.run_it('install', '--binary', '/bin/true', '--prefix', '/opt/spate')
        self.assertEqual(status, 0, said)
        self.assertEqual(self.files(), ['etc/spate/spate.env', 'etc/systemd/system/spate.service', 'etc/sysusers.d/spate.conf',
                                        'etc/tmpfiles.d/spate.conf', 'opt/spate/bin/spate'])
        self.assertIn('\nExecStart=/opt/spate/bin/spate run\n', self.read('etc/systemd/system/spate.service'))
        self.assertEqual(os.stat(os.path.join(self.root, 'etc/spate/spate.env')).st_mode & 0o777, 0o640)
        self.assertTrue(os.access(os.path.join(self.root, 'opt/spate/bin/spate'), os.X_OK))
        with open(os.path.join(self.root, 'etc/spate/spate.env'), 'w', encoding='utf-8') as file:
            file.write('SPATE_MEMORY=4GiB\n')
        self.assertEqual(self.run_it('install', '--binary', '/bin/true')[0], 0)
        self.assertEqual(self.read('etc/spate/spate.env'), 'SPATE_MEMORY=4GiB\n')
        self.assertEqual(self.run_it('remove')[0], 0)
        self.assertEqual(self.run_it('remove', '--prefix', '/opt/spate')[0], 0)
        self.assertEqual(self.files(), ['etc/spate/spate.env'])

    def test_mistakes_are_told(self):
        for arguments in ([], ['instal'], ['install', 'remove'], ['install', '--prefix', 'relative'], ['install', '--prefix', '/a b'],
                          ['install', '--prefix', '/home/me'], ['install', '--binary']):
            self.assertNotEqual(self.run_it(*arguments)[0], 0, arguments)
        status, said = self.run_it('install', '--binary', self.root)
        self.assertEqual(status, 1)
        self.assertIn('is no program', said)
        self.assertEqual(self.files(), [])


if __name__ == '__main__':
    unittest.main()
