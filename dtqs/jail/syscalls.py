"""Numbers of the system calls that a jailed process may make, on x86-64 and arm64. All others are refused."""

X86_64, AARCH64 = "x86_64", "aarch64"

_PLAIN = """
    read 0 63; write 1 64; readv 19 65; writev 20 66; pread64 17 67; pwrite64 18 68; preadv 295 69; pwritev 296 70;
    preadv2 327 286; pwritev2 328 287; lseek 8 62; sendfile 40 71; copy_file_range 326 285; splice 275 76; creat 85 -;
    close 3 57; close_range 436 436; dup 32 23; dup2 33 -; dup3 292 24;
    flock 73 32; fsync 74 82; fdatasync 75 83; sync_file_range 277 84; fadvise64 221 223; fallocate 285 47;
    ftruncate 77 46; stat 4 -; fstat 5 80; lstat 6 -; newfstatat 262 79; statx 332 291; statfs 137 43;
    fstatfs 138 44; access 21 -; faccessat 269 48; faccessat2 439 439; readlink 89 -; readlinkat 267 78;
    getdents 78 -; getdents64 217 61; getcwd 79 17; chdir 80 49; fchdir 81 50; umask 95 166; mkdir 83 -;
    mkdirat 258 34; rmdir 84 -; unlink 87 -; unlinkat 263 35; rename 82 -; renameat 264 38; renameat2 316 276;
    poll 7 -; ppoll 271 73; select 23 -; pselect6 270 72; epoll_create 213 -; epoll_create1 291 20;
    epoll_ctl 233 21; epoll_wait 232 -; epoll_pwait 281 22; epoll_pwait2 441 441; eventfd 284 -; eventfd2 290 19;
    pipe 22 -; pipe2 293 59; timerfd_create 283 85; timerfd_settime 286 86; timerfd_gettime 287 87; mmap 9 222;
    mprotect 10 226; munmap 11 215; mremap 25 216; madvise 28 233; brk 12 214; msync 26 227; mincore 27 232;
    mlock 149 228; mlock2 325 284; munlock 150 229; membarrier 324 283; mbind 237 235; get_mempolicy 239 236;
    set_mempolicy 238 237; futex 202 98; futex_waitv 449 449; futex_wake 454 454; futex_wait 455 455;
    futex_requeue 456 456; set_robust_list 273 99; get_robust_list 274 100; rseq 334 293; set_tid_address 218 96;
    exit 60 93; exit_group 231 94; rt_sigaction 13 134; rt_sigprocmask 14 135; rt_sigreturn 15 139;
    rt_sigpending 127 136; rt_sigsuspend 130 133; rt_sigtimedwait 128 137; sigaltstack 131 132; pause 34 -;
    restart_syscall 219 128; getpid 39 172; gettid 186 178; getppid 110 173; getpgrp 111 -; getpgid 121 155;
    getsid 124 156; getuid 102 174; geteuid 107 175; getgid 104 176; getegid 108 177; getresuid 118 148;
    getresgid 120 150; getgroups 115 158; capget 125 90; nanosleep 35 101; clock_nanosleep 230 115;
    clock_gettime 228 113; clock_getres 229 114; gettimeofday 96 169; time 201 -; times 100 153;
    timer_create 222 107; timer_settime 223 110; timer_gettime 224 108; timer_delete 226 111;
    timer_getoverrun 225 109; getitimer 36 102; setitimer 38 103; alarm 37 -; getrusage 98 165; getrlimit 97 163;
    setrlimit 160 164; sysinfo 99 179; uname 63 160; getcpu 309 168; getrandom 318 278; getpriority 140 141;
    sched_yield 24 124; sched_getaffinity 204 123; sched_getparam 143 121; sched_getscheduler 145 120;
    sched_get_priority_max 146 125; sched_get_priority_min 147 126; sched_rr_get_interval 148 127; arch_prctl 158 -;
"""
"""Name, number on x86-64, number on arm64. They affect only the process, its open files, and paths under Landlock."""

_JUDGED = """
    open 2 -; openat 257 56; openat2 437 437; clone 56 220; clone3 435 435; kill 62 129; tgkill 234 131;
    prlimit64 302 261; sched_setaffinity 203 122; fcntl 72 25; ioctl 16 29; prctl 157 167; execve 59 221;
"""
"""Allowed with some arguments only."""

_SOCKET = """
    sendmsg 46 211; recvmsg 47 212; sendto 44 206; recvfrom 45 207; shutdown 48 210; getsockopt 55 209;
    setsockopt 54 208; getsockname 51 204; getpeername 52 205;
"""
"""Use a socket that is open already. Calls that make or bind a socket are not listed."""


def _numbers(table: str, machine: str) -> dict[str, int]:
    """Return the calls of a table that exist on the processor."""
    rows = [row.split() for row in table.replace("\n", " ").split(";") if row.strip()]
    column = (X86_64, AARCH64).index(machine) + 1
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


def plain(machine: str) -> dict[str, int]:
    return _numbers(_PLAIN, machine)


def judged(machine: str) -> dict[str, int]:
    return _numbers(_JUDGED, machine)


def socket(machine: str) -> dict[str, int]:
    return _numbers(_SOCKET, machine)
