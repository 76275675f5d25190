#!/usr/bin/env python3
"""The checks in scripts/ find what they are for, and tally counts what it is shown."""
import json
import os
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCRIPTS = os.path.join(ROOT, 'scripts')


def run(script, *arguments):
    done = subprocess.run([os.path.join(SCRIPTS, script), *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


class Tree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name

    def write(self, path, text):
        whole = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, 'w', encoding='utf-8') as file:
            file.write(text)
        return whole


class Layers(Tree):
    def broken_by(self, path, line):
        self.write('engine/base/span.h', '')
        self.write('engine/stream.h', '')
        self.write('matcher/match.h', '')
        self.write('io/io.h', '')
        self.write('io/wire/nats.h', '')
        self.write(path, line + '\n')
        status, said = run('check-layers', self.root)
        self.assertEqual(status, 1 if said.startswith(path) else 0, said)
        return status == 1

    def test_arrows_point_down_only(self):
        self.assertFalse(self.broken_by('engine/route.c', '#include "matcher/match.h"'))
        self.assertFalse(self.broken_by('io/uring.c', '#include "engine/base/span.h"'))

    def test_siblings_do_not_see_each_other(self):
        self.assertTrue(self.broken_by('matcher/table.c', '#include "io/wire/nats.h"'))

    def test_a_codec_knows_no_backend(self):
        self.assertTrue(self.broken_by('io/wire/http.c', '#include "io/io.h"'))

    def test_base_knows_nothing_of_the_product(self):
        self.assertTrue(self.broken_by('engine/base/log.c', '#include "engine/stream.h"'))

    def test_only_the_main_of_all_commands_reaches_into_bench(self):
        self.write('bench/bench.h', '')
        self.assertFalse(self.broken_by('engine/main.c', '#include "bench/bench.h"'))
        self.assertTrue(self.broken_by('engine/run.c', '#include "bench/bench.h"'))

    def test_an_include_is_written_from_the_root(self):
        self.assertTrue(self.broken_by('engine/cohort.c', '#include "stream.h"'))

    def test_atomics_stay_where_they_are_understood(self):
        self.assertFalse(self.broken_by('engine/base/ring.h', '#include <stdatomic.h>'))
        self.assertTrue(self.broken_by('engine/lane.c', '#include <stdatomic.h>'))

    def test_atomics_of_the_compiler_count_too(self):
        self.assertTrue(self.broken_by('engine/lane.c', 'static int a(int *b) { return __atomic_load_n(b, 0); }'))

    def test_a_comment_is_no_use(self):
        self.assertFalse(self.broken_by('engine/lane.c', '/* __atomic_load_n would do */'))

    def test_liburing_stays_in_its_backend(self):
        self.assertTrue(self.broken_by('io/epoll.c', '#include <liburing.h>'))
        self.assertTrue(self.broken_by('engine/main.c', '#include <rte_mbuf.h>'))


class Planting(unittest.TestCase):
    def test_every_kept_fault_says_what_it_is(self):
        status, said = run('mutants', '--list')
        self.assertEqual(status, 0)
        self.assertIn('matcher/second_mark', said)
        for line in said.splitlines():
            self.assertRegex(line, r'^\w+/\w+ +[^ ?]')

    def test_a_name_that_is_none_is_refused(self):
        done = subprocess.run([os.path.join(SCRIPTS, 'mutants'), 'matcher/no_such'], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn('matcher/no_such: neither a folder nor a fault', done.stderr)


class Counting(Tree):
    def tally(self, *files):
        status, said = run('tally', *files)
        return status, said.splitlines()

    def log_of(self, **fields):
        row = {'name': 'spate:unit / ring', 'stdout': '', 'result': 'OK', 'returncode': 0} | fields
        return 'part=' + self.write('testlog.json', json.dumps(row) + '\n')

    def test_a_program_without_cases_is_one(self):
        self.assertEqual(self.tally(self.log_of()), (0, ['1 passed, 0 failed, 0 skipped']))

    def test_cmocka_counts_by_its_cases(self):
        said = ('[==========] Running 3 test(s).\n[ RUN      ] a\n[       OK ] a\n[ RUN      ] b\n[  FAILED  ] b\n'
                '[ RUN      ] c\nskipped: no io_uring here\n[  SKIPPED ] c\n[  FAILED  ] 1 test(s), listed below:\n')
        self.assertEqual(self.tally(self.log_of(stdout=said, result='FAIL', returncode=1)), (
            1, ['skipped: part: ring: c: no io_uring here', 'failed: part: ring: b', '1 passed, 1 failed, 1 skipped']))

    def test_a_case_that_runs_twice_counts_twice(self):
        said = '[ RUN      ] a\n[  FAILED  ] a\n[==========] 1 test(s) run.\n[ RUN      ] a\n[       OK ] a\n'
        self.assertEqual(self.tally(self.log_of(stdout=said, result='FAIL', returncode=1)), (
            1, ['failed: part: ring: a', '1 passed, 1 failed, 0 skipped']))

    def test_a_case_that_crashes_has_failed(self):
        log = self.log_of(stdout='[ RUN      ] a\n[       OK ] a\n[ RUN      ] b\n', result='FAIL', returncode=-6)
        self.assertEqual(self.tally(log), (1, ['failed: part: ring: b', '1 passed, 1 failed, 0 skipped']))

    def test_a_program_that_fails_behind_its_cases_has_failed(self):
        log = self.log_of(stdout='[ RUN      ] a\n[       OK ] a\n', result='FAIL', returncode=1)
        self.assertEqual(self.tally(log)[1][-1], '1 passed, 1 failed, 0 skipped')

    def test_a_skipped_program_gives_its_last_line_as_reason(self):
        log = self.log_of(stdout='skipped: no clang\n', result='SKIP', returncode=77)
        self.assertEqual(self.tally(log)[1], ['skipped: part: ring: no clang', '0 passed, 0 failed, 1 skipped'])

    def test_tap_counts_by_its_leaves(self):
        tap = self.write('results.tap', 'TAP version 13\nok 1 - a\nok 2 - b # SKIP not here\n    ok 1 - c\n'
                         '    not ok 2 - d\n      ---\n      error: |\n        ok 9 - inside a report\n      ...\n'
                         'not ok 3 - group of c and d\nnot ok 4 - alone\n1..4\n')
        self.assertEqual(self.tally('e2e=' + tap), (1, [
            'skipped: e2e: b: not here', 'failed: e2e: d', 'failed: e2e: alone', '2 passed, 2 failed, 1 skipped']))

    def test_a_part_that_left_no_results_has_failed(self):
        self.assertEqual(self.tally('asan=/nonexistent.json'), (
            1, ['failed: asan did not run to its end', '0 passed, 1 failed, 0 skipped']))

    def test_nothing_run_is_no_success(self):
        self.assertEqual(self.tally('plain=' + self.write('testlog.json', ''))[0], 1)


class Marks(Tree):
    def test_what_one_process_hits_is_hit(self):
        self.write('one', '0 engine/lane.c:5 a lane was cut\n3 engine/skip.c:7 a lane skipped\n')
        self.write('two', '2 engine/lane.c:5 a lane was cut\n')
        self.assertEqual(run('marks', self.root), (0, '2 marks, 0 of them never hit\n'))

    def test_one_that_nothing_hits_is_named(self):
        self.write('one', '0 engine/lane.c:5 a lane was cut\n3 engine/skip.c:7 a lane skipped\n')
        tap = self.root + '.tap'
        self.addCleanup(os.remove, tap)
        status, said = run('marks', '--tap', tap, self.root)
        self.assertEqual(status, 1)
        self.assertEqual(said, 'engine/lane.c:5: a lane was cut: never\n2 marks, 1 of them never hit\n')
        with open(tap, encoding='utf-8') as file:
            self.assertEqual(file.read(), 'not ok 1 - a lane was cut (engine/lane.c:5)\nok 2 - a lane skipped (engine/skip.c:7)\n')

    def test_no_mark_at_all_is_a_fault(self):
        self.assertEqual(run('marks', self.root)[0], 1)
        self.assertEqual(run('marks', self.root + '/nowhere')[0], 1)


if __name__ == '__main__':
    unittest.main()
