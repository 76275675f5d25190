#!/usr/bin/env python3
"""confined: runs a command as a systemd unit would confine it, as far as that goes without systemd and without its
mounts: the system call filter with the families of addresses and the ban on memory that is both written and executed,
the limits, no capability, no new privileges, another user than root where that one may run the command.

    tests/e2e/confined.py UNIT COMMAND ARGUMENT...

The filter is read from the unit and its groups from `systemd-analyze syscall-filter`, so that it is the one in force.
Exits 77 with a reason where the tools for that are missing."""
import ctypes
import errno
import os
import re
import resource
import shutil
import socket
import subprocess
import sys

ALLOW, ERRNO = 0x7fff0000, 0x00050000
EQUAL, AT_LEAST, MASKED_EQUAL = 4, 5, 7
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
NOBODY = 65534


class Comparison(ctypes.Structure):
    _fields_ = [('argument', ctypes.c_uint), ('how', ctypes.c_int), ('first', ctypes.c_uint64), ('second', ctypes.c_uint64)]


def skip(why):
    print(f'skipped: {why}')
    sys.exit(77)


def settings_of(unit):
    """{name: [value, …]}, in the order of the file."""
    settings = {}
    with open(unit, encoding='utf-8') as file:
        for name, value in re.findall(r'^([A-Za-z]+)=(.*)$', file.read(), re.M):
            settings.setdefault(name, []).append(value)
    return settings


def groups():
    """{'@group': [what it names, …]}; a name may be another group."""
    said = subprocess.run(['systemd-analyze', 'syscall-filter', '--no-pager'], capture_output=True, text=True, check=True).stdout
    found, group = {}, None
    for line in said.splitlines():
        word = line.strip()
        if line.startswith('@'):
            group = found.setdefault(word, [])
        elif group is not None and word and not word.startswith('#'):
            group.append(word)
    return found


def allowed_by(filters, known):
    """The names of the system calls that the lines SystemCallFilter= leave."""
    allowed = set()

    def names_of(word):
        return set().union(*map(names_of, known[word])) if word.startswith('@') else {word}
    for line in filters:
        words = set().union(*map(names_of, line.lstrip('~').split()))
        allowed = allowed - words if line.startswith('~') else allowed | words
    return allowed | names_of('@default')  # which systemd adds to every list that allows


class Filter:
    def __init__(self, libseccomp, otherwise):
        self.lib = libseccomp
        self.context = self.lib.seccomp_init(otherwise)
        assert self.context

    def rule(self, action, name, *comparisons):
        number = self.lib.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            return  # of another architecture, or newer than the library
        array = (Comparison * len(comparisons))(*comparisons)
        failed = self.lib.seccomp_rule_add_array(self.context, action, number, len(comparisons), array)
        assert failed == 0, (name, os.strerror(-failed))

    def load(self):
        failed = self.lib.seccomp_load(self.context)
        assert failed == 0, os.strerror(-failed)


def load_filters(settings, known):
    try:
        lib = ctypes.CDLL('libseccomp.so.2', use_errno=True)
    except OSError:
        skip('libseccomp.so.2 is not installed')
    lib.seccomp_init.restype = ctypes.c_void_p
    lib.seccomp_load.argtypes = [ctypes.c_void_p]
    lib.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(Comparison)]
    refuse = ERRNO | errno.EPERM
    calls = Filter(lib, refuse)
    for name in sorted(allowed_by(settings['SystemCallFilter'], known)):
        calls.rule(ALLOW, name)
    for name in ('execve', 'seccomp'):
        calls.rule(ALLOW, name)  # to come so far
    details = Filter(lib, ALLOW)
    if settings.get('MemoryDenyWriteExecute') == ['yes']:
        write_and_execute, execute, attach_execute = 2 | 4, 4, 0o100000
        details.rule(refuse, 'mmap', Comparison(2, MASKED_EQUAL, write_and_execute, write_and_execute))
        details.rule(refuse, 'mprotect', Comparison(2, MASKED_EQUAL, execute, execute))
        details.rule(refuse, 'pkey_mprotect', Comparison(2, MASKED_EQUAL, execute, execute))
        details.rule(refuse, 'shmat', Comparison(2, MASKED_EQUAL, attach_execute, attach_execute))
    families = [getattr(socket, family) for line in settings.get('RestrictAddressFamilies', []) for family in line.split()]
    if families:
        for family in set(range(max(families) + 1)) - set(families):
            details.rule(ERRNO | errno.EAFNOSUPPORT, 'socket', Comparison(0, EQUAL, family, 0))
        details.rule(ERRNO | errno.EAFNOSUPPORT, 'socket', Comparison(0, AT_LEAST, max(families) + 1, 0))
    details.load()
    calls.load()


def limit(which, value):
    """As far as we may."""
    _, hard = resource.getrlimit(which)
    wanted = resource.RLIM_INFINITY if value == 'infinity' else int(value)
    if hard != resource.RLIM_INFINITY and (wanted == resource.RLIM_INFINITY or wanted > hard):
        wanted = hard
    resource.setrlimit(which, (wanted, wanted))


def drop_rights(command):
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # EPERM and EINVAL: there are none to drop
    if os.geteuid() == 0:
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
            os._exit(0 if os.access(command, os.X_OK) else 1)
        # Root without any capability where the folder is closed to others: execve gives none back.
        if os.waitpid(child, 0)[1] == 0:
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), 'prctl')


def main():
    unit, command = sys.argv[1], sys.argv[2:]
    if not shutil.which('systemd-analyze'):
        skip('systemd-analyze is not installed')
    settings = settings_of(unit)
    limit(resource.RLIMIT_NOFILE, settings['LimitNOFILE'][-1])
    limit(resource.RLIMIT_MEMLOCK, settings['LimitMEMLOCK'][-1])
    os.umask(int(settings['UMask'][-1], 8))
    known = groups()
    drop_rights(command[0])
    load_filters(settings, known)
    os.execv(command[0], command)


if __name__ == '__main__':
    main()
