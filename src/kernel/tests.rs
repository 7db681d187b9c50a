use std::os::unix::fs::symlink;

use super::*;

const STAT: &str = "cpu  100 20 300 9999 50 4 5 600 70 8\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 5\nbtime 17\n";

const MEMINFO: &str =
    "MemTotal:       24684096 kB\nMemFree:        21561656 kB\nMemAvailable:   22999024 kB\nBuffers: 7136 kB\n";

const DEV: &str = "Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 11666930688 40966772    0  617    0     0          0         0 11666930688 40966772    0    0    0     0       0          0
  eth0:    1000       1    0    0    0     0          0         0     200       1    0    0    0     0       0          0
 wlan0:10       1    0    0    0     0          0         0     2       1    0    0    0     0       0          0
docker0:    7000       1    0    0    0     0          0         0     7000       1    0    0    0     0       0          0
veth12:    7000       1    0    0    0     0          0         0     7000       1    0    0    0     0       0          0
";

const DISKSTATS: &str = "   7       0 loop0 9 0 9 0 9 0 9 0 0 0 0 0 0 0 0 0 0
 179       0 mmcblk0 5242745 225421 100 9361863 7199721 1058284 20 3534635 0 958724 13345116 1253771 2376 335940744 227541 1637744 221075
 179       1 mmcblk0p1 9 0 99 0 9 0 99 0 0 0 0 0 0 0 0 0 0
   8       0 sda 1 2 3 4 5 6 7 8 9 10 11
 253       0 zram0 9 0 9 0 9 0 9 0 0 0 0 0 0 0 0 0 0
";

// DM8
#[test]
fn processors_have_worked_without_idling_waiting_or_being_stolen() {
    assert_eq!(cpu(STAT), Some((100 + 20 + 300 + 4 + 5) * 10_000_000));
    assert_eq!(cpu("cpu  1 2 3 4 5\n"), Some(60_000_000));
    for odd in ["", "cpu0 1 2 3 4 5\n", "cpu  1 2 3\n", "cpu  a b c d e\n"] {
        assert_eq!(cpu(odd), None, "{odd}");
    }
}

// DM8
#[test]
fn memory_is_used_when_it_is_not_available() {
    assert_eq!(memory(MEMINFO), Some(((24_684_096 - 22_999_024) * 1024, 24_684_096 * 1024)));
    for odd in ["", "MemTotal: 5 kB\nMemFree: 4 kB\n", "MemTotal: 5 kB\nMemAvailable: 6 kB\n", "MemTotal: 5\n"] {
        assert_eq!(memory(odd), None, "{odd}");
    }
}

// DM8
#[test]
fn networks_are_those_of_the_cards() {
    let cards = |name: &str| matches!(name, "eth0" | "wlan0");
    let none = |_: &str| false;
    for is_hosts in [true, false] {
        assert_eq!(network(DEV, cards, is_hosts), Some((1010, 202)));
    }
    assert_eq!(network(DEV, none, true), Some((1010, 202)), "by their names");
    assert_eq!(network(DEV, none, false), None, "a container's own network");
    for odd in ["", "  lo: 1 2 3\n", "eth0: a b c d e f g h i\n"] {
        assert_eq!(network(odd, cards, true), None, "{odd}");
    }
}

// DM8
#[test]
fn disks_are_counted_whole_and_once() {
    let real = |name: &str| matches!(name, "mmcblk0" | "sda");
    assert_eq!(disks(DISKSTATS, real), Some((103 * 512, 27 * 512)));
    assert_eq!(disks(DISKSTATS, |_| false), None);
    assert_eq!(disks("   8  0 sda 1\n", real), None);
}

// DM8
#[test]
fn threads_are_told_by_the_load() {
    assert_eq!(pids("1.21 1.07 1.07 4/126 3482\n"), Some(126));
    assert_eq!(pids("1.21 1.07"), None);
}

// DM8
#[test]
fn what_cannot_be_read_is_absent() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(Kernel::new(root.path(), false).usage(), Usage::default());
    for (name, text) in [("proc/stat", STAT), ("proc/diskstats", DISKSTATS), ("proc/net/dev", DEV)] {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    for device in ["sys/block/sda", "sys/block/mmcblk0", "sys/class/net/eth0"] {
        fs::create_dir_all(root.path().join(device)).unwrap();
        symlink(root.path(), root.path().join(device).join("device")).unwrap();
    }
    let usage = Kernel::new(root.path(), true).usage();
    assert_eq!((usage.memory, usage.pids), (None, None));
    assert_eq!((usage.received, usage.sent), (Some(1000), Some(200)));
    assert_eq!((usage.read, usage.written), (Some(103 * 512), Some(27 * 512)));
}

// DM8
#[test]
fn this_host_is_read() {
    let usage = Kernel::new(Path::new("/"), false).usage();
    assert!(usage.cpu > Some(0) && usage.memory > Some(0) && usage.memory < usage.memory_limit, "{usage:?}");
    assert!(usage.pids > Some(0), "{usage:?}");
}
