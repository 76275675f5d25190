#!/usr/bin/env python3
"""tune-host on a machine that a folder pretends to be: what apply does is checked by verify and taken back by undo,
byte for byte, wherever apply was stopped and whatever could not be done."""
import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader('tune_host', os.path.join(ROOT, 'scripts/tune-host'))
tune_host = importlib.util.module_from_spec(importlib.util.spec_from_loader('tune_host', loader))
loader.exec_module(tune_host)
os.fsync = lambda handle: None  # what dies here is a process, not the machine

CPU, NIC = '/sys/devices/system/cpu', '/sys/class/net/eth0'
# A bare machine: two CPUs, two nodes, an interface with one receive and two send queues.
FILES = {
    '/proc/sys/fs/nr_open': '65536\n', '/proc/sys/fs/file-max': '100000\n',
    '/proc/sys/net/core/somaxconn': '128\n', '/proc/sys/net/core/wmem_max': '212992\n',
    '/proc/sys/net/core/rps_sock_flow_entries': '0\n',
    '/proc/sys/net/core/busy_poll': '0\n', '/proc/sys/net/core/busy_read': '0\n',
    '/proc/sys/net/ipv4/tcp_max_syn_backlog': '512\n', '/proc/sys/net/ipv4/tcp_syncookies': '0\n',
    '/proc/sys/net/ipv4/tcp_mem': '18000\t24000\t36000\n', '/proc/sys/net/ipv4/tcp_rmem': '4096\t131072\t1000000\n',
    '/proc/sys/net/ipv4/tcp_wmem': '4096\t16384\t4194304\n', '/proc/sys/net/ipv4/ip_local_port_range': '32768\t60999\n',
    '/proc/sys/net/netfilter/nf_conntrack_max': '1000\n', '/proc/sys/kernel/io_uring_disabled': '2\n',
    '/proc/sys/kernel/numa_balancing': '1\n', '/proc/sys/vm/nr_hugepages': '0\n', '/proc/sys/vm/swappiness': '60\n',
    '/proc/sys/kernel/random/boot_id': 'first\n', '/proc/meminfo': 'MemTotal:       16000000 kB\n',
    '/proc/cmdline': 'quiet\n',
    '/proc/interrupts': '      CPU0  CPU1\n 30:  1  0  PCI-MSI 1-edge  eth0-TxRx-0\n 31:  0  1  PCI-MSI 2-edge  eth0-TxRx-1\n 32:  0  1  PCI-MSI 3-edge  other\n',
    '/proc/irq/30/smp_affinity_list': '0-1\n', '/proc/irq/31/smp_affinity_list': '0-1\n', '/proc/irq/32/smp_affinity_list': '0-1\n',
    '/sys/kernel/mm/transparent_hugepage/enabled': 'always\n',
    '/sys/devices/system/clocksource/clocksource0/available_clocksource': 'tsc hpet\n',
    '/sys/devices/system/clocksource/clocksource0/current_clocksource': 'hpet\n',
    '/sys/devices/system/node/node0/x': '', '/sys/devices/system/node/node1/x': '',
    CPU + '/online': '0-1\n',
    **{f'{CPU}/cpu{cpu}/cpufreq/scaling_available_governors': 'powersave performance\n' for cpu in (0, 1)},
    **{f'{CPU}/cpu{cpu}/cpufreq/scaling_governor': 'powersave\n' for cpu in (0, 1)},
    **{f'{CPU}/cpu{cpu}/cpuidle/state{state}/{name}': text for cpu in (0, 1) for state, latency in ((0, 0), (1, 2), (2, 90))
       for name, text in (('latency', f'{latency}\n'), ('disable', '0\n'))},
    NIC + '/queues/rx-0/rps_cpus': '0\n', NIC + '/queues/rx-0/rps_flow_cnt': '0\n',
    NIC + '/queues/tx-0/xps_cpus': '0\n', NIC + '/queues/tx-1/xps_cpus': '0\n',
    '/etc/security/limits.conf': '', '/etc/systemd/system/spate.service': '[Service]\n', '/usr/sbin/irqbalance': '',
}
# Keeps each value in a file beside itself, and takes no rings above 1024.
ETHTOOL = r'''#!/bin/sh
at=$(dirname "$0")/ethtool-values
case $1 in
-l) printf 'Channel parameters:\nPre-set maximums:\nCombined:\t8\nCurrent hardware settings:\nCombined:\t%s\n' "$(cat "$at/combined")" ;;
-g) printf 'Ring parameters:\nPre-set maximums:\nRX:\t1024\nTX:\t1024\nCurrent hardware settings:\nRX:\t%s\nTX:\t%s\n' "$(cat "$at/rx")" "$(cat "$at/tx")" ;;
-c) printf 'Coalesce parameters for eth0:\nAdaptive RX: %s  TX: off\nrx-usecs: 3\n' "$(cat "$at/adaptive-rx")" ;;
-k) printf 'Features for eth0:\ntcp-segmentation-offload: on\nntuple-filters: %s\n' "$(cat "$at/ntuple")" ;;
-[LGCK]) printf '%s' "$4" >"$at/$3" ;;
esac
'''
ALL = ['--dedicated', '--nic', 'eth0', '--cpus', '0-1', '--load-host', '--huge-pages', '64', '--persist']


class Machine(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        for path, text in FILES.items():
            self.put(path, text)
        self.put('/usr/sbin/ethtool', ETHTOOL)
        os.chmod(self.root + '/usr/sbin/ethtool', 0o755)
        for name, value in {'combined': '1', 'rx': '256', 'tx': '256', 'adaptive-rx': 'off', 'ntuple': 'off'}.items():
            self.put('/usr/sbin/ethtool-values/' + name, value)

    def put(self, path, text):
        os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
        with open(self.root + path, 'w', encoding='utf-8') as file:
            file.write(text)

    def get(self, path):
        with open(self.root + path, encoding='utf-8') as file:
            return file.read()

    def tree(self):
        """Every file with its bytes and mode, and every folder that is not the state's."""
        found = {}
        for where, folders, names in os.walk(self.root):
            for name in folders:
                found[os.path.join(where, name)] = None
            for name in names:
                whole = os.path.join(where, name)
                with open(whole, 'rb') as file:
                    found[whole] = (file.read(), os.stat(whole).st_mode)
        return found

    def tune(self, verb, *options):
        """(exit status, all that was said)."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            try:
                status = tune_host.main([verb, '--root', self.root, *options])
            except SystemExit as done:
                status = done.code
        return status, said.getvalue()


class There(Machine):
    def test_help_tells_of_it_in_words(self):
        status, said = self.tune('--help')
        self.assertEqual(status, 0)
        self.assertIn('tune-host: what a host can do', said)
        self.assertNotIn('command -v', said)

    def test_plan_changes_nothing_and_names_what_differs(self):
        before = self.tree()
        status, said = self.tune('plan', *ALL)
        self.assertEqual(status, 0, said)
        self.assertIn('somaxconn: change\n    net.core.somaxconn: 128  ->  at least 4096', said)
        self.assertEqual(self.tree(), before)

    def test_a_plan_is_the_same_in_json(self):
        rows = {row['name']: row for row in json.loads(self.tune('plan', '--json')[1])['rows']}
        self.assertEqual(set(rows), {row.name for row in tune_host.ROWS})
        self.assertEqual(rows['somaxconn']['knobs'], [{'path': '/proc/sys/net/core/somaxconn', 'now': '128', 'wanted': 'at least 4096',
                                                       'fits': False, 'keep': '/etc/sysctl.d/60-spate.conf, by apply --persist'}])

    def test_a_shared_host_is_spared_what_others_would_feel(self):
        status, said = self.tune('apply')
        self.assertEqual(status, 0, said)
        self.assertEqual(self.get('/proc/sys/net/core/somaxconn'), '4096\n')
        self.assertEqual(self.get(CPU + '/cpu0/cpufreq/scaling_governor'), 'powersave\n')
        self.assertEqual(self.get('/proc/sys/kernel/io_uring_disabled'), '2\n')
        self.assertIn('governor: skipped: others on this host would feel it: only with --dedicated', said)
        self.assertEqual(self.tune('verify'), (0, 'as wanted\n'))

    def test_apply_does_what_was_planned(self):
        status, said = self.tune('apply', *ALL)
        self.assertEqual(status, 0, said)
        for path, text in {
                '/proc/sys/fs/nr_open': '1048576\n', '/proc/sys/net/ipv4/ip_local_port_range': '1024 65535\n',
                '/proc/sys/net/ipv4/tcp_rmem': '4096 131072 6291456\n', '/proc/sys/kernel/io_uring_disabled': '0\n',
                '/proc/irq/30/smp_affinity_list': '0\n', '/proc/irq/31/smp_affinity_list': '1\n', '/proc/irq/32/smp_affinity_list': '0-1\n',
                NIC + '/queues/rx-0/rps_cpus': '00000003\n', NIC + '/queues/rx-0/rps_flow_cnt': '32768\n',
                NIC + '/queues/tx-0/xps_cpus': '00000001\n', NIC + '/queues/tx-1/xps_cpus': '00000002\n',
                CPU + '/cpu1/cpufreq/scaling_governor': 'performance\n', CPU + '/cpu1/cpuidle/state2/disable': '1\n',
                CPU + '/cpu1/cpuidle/state1/disable': '0\n', '/usr/sbin/ethtool-values/combined': '2',
                '/usr/sbin/ethtool-values/rx': '1024', '/usr/sbin/ethtool-values/adaptive-rx': 'on',
                '/usr/sbin/ethtool-values/ntuple': 'on'}.items():
            self.assertEqual(self.get(path), text, path)
        self.assertIn('--banirq=30 --banirq=31', self.get(tune_host.IRQBALANCE))
        self.assertIn('* hard nofile 1048576\n', self.get(tune_host.LIMITS))
        self.assertIn('net.core.somaxconn = 4096\n', self.get(tune_host.SYSCTLS))
        self.assertIn(f'w {CPU}/cpu0/cpufreq/scaling_governor - - - - performance\n', self.get(tune_host.TMPFILES))
        self.assertNotIn('irq', self.get(tune_host.TMPFILES))

    def test_verify_remembers_what_apply_was_asked_for(self):
        self.tune('apply', *ALL)
        self.assertEqual(self.tune('verify'), (0, 'as wanted\n'))

    def test_undo_restores_byte_for_byte(self):
        before = self.tree()
        self.assertEqual(self.tune('apply', *ALL)[0], 0)
        self.assertNotEqual(self.tree(), before)
        self.assertEqual(self.tune('undo')[0], 0)
        self.assertEqual(self.tree(), before)

    def test_undo_with_nothing_to_undo_is_well(self):
        before = self.tree()
        status, said = self.tune('undo')
        self.assertEqual((status, said.startswith('nothing to undo')), (0, True))
        self.assertEqual(self.tree(), before)

    def test_a_second_apply_changes_nothing_and_keeps_the_first_originals(self):
        before = self.tree()
        self.tune('apply', *ALL)
        state = self.get('/var/lib/spate/tune-host.json')
        status, said = self.tune('apply', *ALL)
        self.assertEqual((status, said.splitlines()[-1].startswith('0 changed, 0 failed')), (0, True))
        self.assertEqual(self.get('/var/lib/spate/tune-host.json'), state)
        self.tune('apply', '--only', 'nr-open,limits', '--connections', '1M')
        self.tune('apply', '--only', 'nr-open,limits', '--connections', '2M')
        self.tune('undo')
        self.assertEqual(self.tree(), before)

    def test_only_what_is_named_is_touched_and_later_verified(self):
        before = self.tree()
        status, said = self.tune('apply', '--only', 'somaxconn', '--only', 'governor')
        self.assertEqual(status, 0, said)
        changed = {path for path, what in self.tree().items() if before.get(path, what) != what}
        self.assertEqual(changed, {self.root + path for path in ('/proc/sys/net/core/somaxconn', CPU + '/cpu0/cpufreq/scaling_governor',
                                                                 CPU + '/cpu1/cpufreq/scaling_governor')})
        self.assertEqual(self.tune('verify'), (0, 'as wanted\n'))
        self.tune('apply', '--only', 'swappiness')
        self.put('/proc/sys/net/core/somaxconn', '128\n')
        self.assertEqual(self.tune('verify')[0], 1)

    def test_a_value_that_is_more_than_wanted_stays(self):
        self.put('/proc/sys/net/core/somaxconn', '65535\n')
        self.put('/proc/sys/net/ipv4/tcp_mem', '9000000 9000000 9000000\n')
        self.tune('apply')
        self.assertEqual(self.get('/proc/sys/net/core/somaxconn'), '65535\n')
        self.assertEqual(self.get('/proc/sys/net/ipv4/tcp_mem'), '9000000 9000000 9000000\n')

    def test_of_a_choice_the_word_in_brackets_holds(self):
        self.put('/sys/kernel/mm/transparent_hugepage/enabled', 'always [madvise] never\n')
        self.assertIn('thp: ok', self.tune('plan', '--only', 'thp')[1])
        self.put('/sys/kernel/mm/transparent_hugepage/enabled', '[always] madvise never\n')
        self.assertIn('thp: change', self.tune('plan', '--only', 'thp')[1])


class Stopped(Machine):
    def stop_at(self, step, *arguments):
        """Runs it in a process of its own that dies without a word in front of its `step`-th change to a file, or half
        through it. False: it came to its end before."""
        child = os.fork()
        if child == 0:
            count = 0

            def dying(call):
                def wrapper(*these, **those):
                    nonlocal count
                    count += 1
                    if count == step:
                        os._exit(99)
                    return call(*these, **those)
                return wrapper
            for name in ('open', 'write', 'rename', 'mkdir', 'unlink', 'rmdir'):
                call = getattr(os, name)
                setattr(os, name, dying(call))
            self.tune(*arguments)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 99

    def without_state(self):
        """The state's folder may be left, and what a file was being made of."""
        return {path: what for path, what in self.tree().items() if not path.startswith(self.root + '/var') and '/.spate-' not in path}

    def test_an_apply_that_was_killed_anywhere_can_be_undone(self):
        options = ['--only', 'limits,nr-open,somaxconn,thp', '--persist']
        before, step = self.without_state(), 1
        while self.stop_at(step, 'apply', *options):
            status, said = self.tune('undo')
            self.assertEqual(status, 0, f'step {step}: {said}')
            after = self.without_state()
            # A folder may have been made before it could be noted.
            self.assertEqual({path: what for path, what in after.items() if what is not None or path in before}, before, f'step {step}')
            step += 1
        self.assertGreater(step, 30)
        self.tune('undo')

    def test_an_undo_that_was_killed_anywhere_can_go_on(self):
        options = ['--only', 'limits,nr-open,somaxconn,thp', '--persist']
        before, step = self.without_state(), 1
        while True:
            self.tune('apply', *options)
            if not self.stop_at(step, 'undo'):
                break
            self.tune('undo')
            self.assertEqual(self.without_state(), before, f'step {step}')
            step += 1
        self.assertEqual(self.without_state(), before)

    def test_an_apply_that_was_killed_can_go_on(self):
        before = self.without_state()
        self.stop_at(25, 'apply', *ALL)
        self.assertEqual(self.tune('apply', *ALL)[0], 0)
        self.assertEqual(self.tune('verify')[0], 0)
        self.tune('undo')
        self.assertEqual({path: what for path, what in self.without_state().items() if what is not None or path in before}, before)


class Others(Machine):
    """Somebody else, a reboot, or a machine that refuses."""

    def test_verify_tells_what_something_else_has_changed(self):
        self.tune('apply', *ALL)
        self.put('/proc/sys/net/core/somaxconn', '200\n')
        self.put('/proc/sys/net/core/wmem_max', '999999999\n')  # enough, but not as apply left it
        os.unlink(self.root + tune_host.LIMITS)
        status, said = self.tune('verify')
        self.assertEqual(status, 1)
        self.assertIn('somaxconn: net.core.somaxconn is 200, wanted at least 4096: apply made it 4096; something else has changed it since', said)
        self.assertIn('wmem-max: net.core.wmem_max is 999999999', said)
        self.assertIn('limits: /etc/security/limits.d/60-spate.conf is not there', said)
        self.assertEqual(len(json.loads(self.tune('verify', '--json')[1])['differences']), 3)

    def test_undo_restores_what_apply_found_whatever_happened_since(self):
        before = self.tree()
        self.tune('apply', *ALL)
        self.put('/proc/sys/net/core/somaxconn', '200\n')
        os.unlink(self.root + tune_host.LIMITS)
        status, said = self.tune('undo')
        self.assertEqual(status, 0, said)
        self.assertIn('something else has made it 200 since apply', said)
        self.assertEqual(self.tree(), before)

    def test_a_file_that_was_there_before_comes_back_with_its_mode(self):
        self.put(tune_host.SYSCTLS, 'vm.swappiness = 1\n')
        os.chmod(self.root + tune_host.SYSCTLS, 0o600)
        before = self.tree()
        status, said = self.tune('apply', '--persist')
        self.assertIn('is not ours and is replaced; undo brings it back', said)
        self.tune('undo')
        self.assertEqual(self.tree(), before)

    def test_a_reboot_undoes_what_was_not_made_to_last(self):
        self.tune('apply', *[one for one in ALL if one != '--persist'])
        for path in ('/proc/sys/net/core/somaxconn', '/proc/irq/30/smp_affinity_list'):
            self.put(path, FILES[path])
        self.put('/proc/sys/net/core/somaxconn', '1000\n')  # what the new system starts with
        self.put('/proc/irq/30/smp_affinity_list', '1\n')
        self.put('/proc/sys/kernel/random/boot_id', 'second\n')
        status, said = self.tune('verify')
        self.assertEqual(status, 1)
        self.assertIn('the machine was booted since apply', said)
        self.assertIn('left as it is: set before the last boot', self.tune('undo')[1])
        self.assertEqual(self.get('/proc/sys/net/core/somaxconn'), '1000\n')
        self.assertEqual(self.get('/proc/irq/30/smp_affinity_list'), '1\n')

    def test_after_a_reboot_a_new_apply_saves_anew(self):
        self.tune('apply', '--only', 'somaxconn')
        self.put('/proc/sys/kernel/random/boot_id', 'second\n')
        self.put('/proc/sys/net/core/somaxconn', '1000\n')
        self.tune('apply', '--only', 'somaxconn')
        self.tune('undo')
        self.assertEqual(self.get('/proc/sys/net/core/somaxconn'), '1000\n')

    def test_what_lasted_over_a_reboot_is_put_back_too(self):
        self.tune('apply', '--only', 'somaxconn', '--persist')
        self.put('/proc/sys/kernel/random/boot_id', 'second\n')
        self.tune('apply', '--only', 'somaxconn', '--persist')
        self.tune('undo')
        self.assertEqual(self.get('/proc/sys/net/core/somaxconn'), '128\n')

    def test_a_missing_file_is_no_failure_unless_it_was_named(self):
        os.unlink(self.root + '/proc/sys/kernel/io_uring_disabled')
        status, said = self.tune('apply', '--dedicated')
        self.assertEqual(status, 0, said)
        self.assertIn('io-uring: skipped: kernel.io_uring_disabled is not there', said)
        self.assertEqual(self.tune('apply', '--only', 'io-uring')[0], 1)

    def test_a_file_that_cannot_be_written_is_told_and_the_rest_goes_on(self):
        real = tune_host.Machine.write
        self.addCleanup(setattr, tune_host.Machine, 'write', real)
        self.put('/.dockerenv', '')

        def write(machine, path, text):
            if path.endswith('somaxconn'):
                raise OSError(30, 'Read-only file system')
            real(machine, path, text)
        tune_host.Machine.write = write
        before = self.tree()
        status, said = self.tune('apply')
        self.assertEqual(status, 1)
        self.assertIn('net.core.somaxconn stays 128, wanted at least 4096: Read-only file system; in a container the host has to do it', said)
        self.assertEqual(self.get('/proc/sys/net/ipv4/tcp_max_syn_backlog'), '4096\n')
        self.assertEqual(self.tune('verify')[0], 1)
        self.assertEqual(self.tune('undo')[0], 0)
        self.assertEqual(self.tree(), before)

    def test_a_kernel_that_takes_less_is_told(self):
        real = tune_host.Machine.write
        self.addCleanup(setattr, tune_host.Machine, 'write', real)
        tune_host.Machine.write = lambda machine, path, text: real(machine, path, '17\n' if path.endswith('nr_hugepages') else text)
        status, said = self.tune('apply', '--only', 'huge-pages', '--huge-pages', '64')
        self.assertEqual(status, 1)
        self.assertIn('the kernel made it 17', said)

    def test_without_ethtool_the_rest_of_the_interface_is_tuned(self):
        os.unlink(self.root + '/usr/sbin/ethtool')
        status, said = self.tune('apply', *ALL)
        self.assertEqual(status, 1)
        self.assertIn('rings: cannot: ethtool is not installed (apt-get install ethtool)', said)
        self.assertEqual(self.get(NIC + '/queues/rx-0/rps_cpus'), '00000003\n')

    def test_limits_never_exceed_what_the_kernel_grants(self):
        real = tune_host.Machine.write
        self.addCleanup(setattr, tune_host.Machine, 'write', real)

        def write(machine, path, text):
            if path.endswith('nr_open'):
                raise OSError(13, 'Permission denied')
            real(machine, path, text)
        tune_host.Machine.write = write
        status, said = self.tune('apply')
        self.assertEqual(status, 1)
        self.assertIn('limits: cannot: fs.nr_open is 65536, and a limit above it can keep people from logging in', said)
        self.assertFalse(os.path.exists(self.root + tune_host.LIMITS))

    def test_a_broken_state_is_not_thrown_away(self):
        self.put('/var/lib/spate/tune-host.json', '{"entries": [')
        before = self.tree()
        for verb in ('apply', 'undo', 'verify'):
            status, said = self.tune(verb)
            self.assertEqual(status, 1)
            self.assertIn('it holds what was there before', said)
        self.assertEqual(self.tree(), before)

    def test_a_plan_needs_no_state_and_who_may_not_read_it_is_told(self):
        self.tune('apply')
        real = tune_host.open if hasattr(tune_host, 'open') else open

        def refusing(path, *these, **those):
            if str(path).endswith('tune-host.json'):
                raise PermissionError(13, 'Permission denied', path)
            return real(path, *these, **those)
        tune_host.open = refusing
        self.addCleanup(delattr, tune_host, 'open')
        self.assertEqual(self.tune('plan')[0], 0)
        status, said = self.tune('verify')
        self.assertEqual(status, 1)
        self.assertIn('is for root alone to read', said)

    def test_bad_input_is_told(self):
        for options, what in ((['--cpus', '3-1'], 'no list of CPUs'), (['--cpus', '0-9'], 'CPU 2 is not online'), (['--nic', 'eth7'], 'no such interface here (eth0)'),
                              (['--only', 'soma'], 'there is nothing called "soma"'), (['--memory', 'lots'], 'is no size'),
                              (['--connections', '-1'], 'connections')):
            status, said = self.tune('plan', *options)
            self.assertIn(status, (1, 2), said)
            self.assertIn(what, said)
        self.assertEqual(self.tune('undo', '--only', 'thp')[0], 2)

    def test_two_at_a_time_do_not_mix(self):
        os.makedirs(self.root + '/var/lib/spate')
        handle = os.open(self.root + '/var/lib/spate', os.O_RDONLY)
        self.addCleanup(os.close, handle)
        tune_host.fcntl.flock(handle, tune_host.fcntl.LOCK_EX)
        status, said = self.tune('apply')
        self.assertEqual(status, 1)
        self.assertIn('another tune-host is at work', said)


if __name__ == '__main__':
    unittest.main()
