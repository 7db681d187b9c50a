use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use radar_tests::disk::Disk;
use radar_tests::wait::until;

#[tokio::test]
async fn a_disk_fills_frees_and_goes_away() -> anyhow::Result<()> {
    let Some(disk) = Disk::mount(64 * 1024).await? else {
        return Ok(());
    };
    let path = disk.path().to_owned();
    fs::write(path.join("before"), [1; 5000])?;
    assert!(disk.fill()? <= 64 * 1024);
    let refused = fs::write(path.join("after"), [1; 5000]).expect_err("the disk is full");
    assert_eq!(refused.kind(), ErrorKind::StorageFull);
    disk.free()?;
    fs::write(path.join("after"), [1; 5000])?;

    drop(disk);
    until("the disk to be unmounted", Duration::from_secs(10), async || match path.parent() {
        Some(directory) if directory.exists() => Err("its directory is there"),
        _ => Ok(()),
    })
    .await
}
