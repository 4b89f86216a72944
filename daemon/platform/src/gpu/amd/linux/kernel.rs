//! `/sys/class/drm` for what there is, `/sys/class/kfd` for who has it.

use std::fs;
use std::path::{Path, PathBuf};

use airunner_core::hardware::{Device, Gpu};
use airunner_core::memory::MemoryReading;

use crate::text::tidy;

const VENDOR: &str = "0x1002";
const NAME_LENGTH: usize = 128;
/// No GPU has so much; such a figure is a mistake.
const MOST_BYTES: u64 = 1 << 50;

#[derive(Debug)]
struct Card {
    device: Device,
    directory: PathBuf,
    total_bytes: u64,
    free_bytes: u64,
}

pub(super) fn gpus(class: &Path) -> Vec<Gpu> {
    let driver = read(&class.join("drm/version")).unwrap_or_default();
    let cards = cards(class).into_iter();
    cards
        .map(|card| Gpu {
            device: card.device,
            name: name(&card.directory),
            total_bytes: card.total_bytes,
            free_bytes: card.free_bytes,
            compute_capability: None,
            driver: tidy(&driver, NAME_LENGTH),
            processes: Vec::new(),
        })
        .collect()
}

pub(super) fn readings(class: &Path, own_pids: &[u32]) -> Vec<(Device, MemoryReading)> {
    let cards = cards(class).into_iter();
    cards
        .map(|card| {
            let own = own_bytes(class, &card.directory, own_pids);
            let reading = MemoryReading {
                total_bytes: card.total_bytes,
                available_bytes: card.free_bytes,
                own_bytes: own.min(card.total_bytes - card.free_bytes),
            };
            (card.device, reading)
        })
        .collect()
}

/// In the order of their numbers, those that say how much memory they have.
fn cards(class: &Path) -> Vec<Card> {
    let Ok(entries) = fs::read_dir(class.join("drm")) else {
        return Vec::new();
    };
    let mut numbered: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix("card")?.parse().ok()?;
            Some((number, entry.path().join("device")))
        })
        .filter(|(_, directory)| read(&directory.join("vendor")).as_deref() == Some(VENDOR))
        .collect();
    numbered.sort_unstable_by_key(|(number, _)| *number);
    let known = numbered.into_iter().filter_map(|(_, directory)| {
        let total = number(&directory.join("mem_info_vram_total"))?;
        let used = number(&directory.join("mem_info_vram_used"))?;
        let sound = (1..=MOST_BYTES).contains(&total);
        sound.then(|| (directory, total, total.saturating_sub(used)))
    });
    (0..)
        .map(Device::Rocm)
        .zip(known)
        .map(|(device, (directory, total_bytes, free_bytes))| Card {
            device,
            directory,
            total_bytes,
            free_bytes,
        })
        .collect()
}

fn name(directory: &Path) -> String {
    let product = read(&directory.join("product_name")).unwrap_or_default();
    let product = tidy(&product, NAME_LENGTH);
    if !product.is_empty() {
        return product;
    }
    let id = read(&directory.join("device")).unwrap_or_default();
    tidy(&format!("AMD GPU {}", id.trim_start_matches("0x")), NAME_LENGTH)
}

/// What the compute driver counts for our processes on this GPU; 0 without that driver.
fn own_bytes(class: &Path, directory: &Path, own_pids: &[u32]) -> u64 {
    let Some(id) = compute_id(class, directory) else {
        return 0;
    };
    own_pids
        .iter()
        .filter_map(|pid| number(&class.join(format!("kfd/kfd/proc/{pid}/vram_{id}"))))
        .fold(0, u64::saturating_add)
}

/// The compute driver's number for a GPU; both know the number of its render device.
fn compute_id(class: &Path, directory: &Path) -> Option<u64> {
    let render = fs::read_dir(directory.join("drm"))
        .ok()?
        .flatten()
        .find_map(|entry| {
            let name = entry.file_name();
            name.to_str()?.strip_prefix("renderD")?.parse::<u64>().ok()
        })?;
    let nodes = fs::read_dir(class.join("kfd/kfd/topology/nodes")).ok()?;
    nodes.flatten().find_map(|node| {
        let properties = read(&node.path().join("properties"))?;
        let minor = properties
            .lines()
            .find_map(|line| line.strip_prefix("drm_render_minor "))?;
        (minor.trim().parse() == Ok(render)).then(|| number(&node.path().join("gpu_id")))?
    })
}

fn read(file: &Path) -> Option<String> {
    Some(fs::read_to_string(file).ok()?.trim().to_owned())
}

fn number(file: &Path) -> Option<u64> {
    read(file)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let class = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = class.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        class
    }

    #[test]
    fn cards_are_listed_in_order_and_only_amds() {
        let class = machine(&[
            ("drm/card10/device/vendor", "0x1002\n"),
            ("drm/card10/device/device", "0x744c\n"),
            ("drm/card10/device/mem_info_vram_total", "1000\n"),
            ("drm/card10/device/mem_info_vram_used", "400\n"),
            ("drm/card2/device/vendor", "0x1002\n"),
            ("drm/card2/device/product_name", "Radeon\tPRO\n"),
            ("drm/card2/device/mem_info_vram_total", "2000\n"),
            ("drm/card2/device/mem_info_vram_used", "9000\n"),
            ("drm/card0/device/vendor", "0x10de\n"),
            ("drm/card0/device/mem_info_vram_total", "1\n"),
            ("drm/card2-DP-1/device/vendor", "0x1002\n"),
            ("drm/renderD128/device/vendor", "0x1002\n"),
        ]);
        let gpus = gpus(class.path());
        let facts: Vec<_> = gpus
            .iter()
            .map(|gpu| (gpu.device, gpu.name.as_str(), gpu.total_bytes, gpu.free_bytes))
            .collect();
        assert_eq!(
            facts,
            [
                (Device::Rocm(0), "Radeon PRO", 2000, 0),
                (Device::Rocm(1), "AMD GPU 744c", 1000, 600)
            ]
        );
    }

    #[test]
    fn cards_that_talk_nonsense_are_left_out() {
        for (total, used) in [
            ("", "0"),
            ("0", "0"),
            ("-5", "0"),
            ("18446744073709551615", "0"),
            ("1000", "none"),
        ] {
            let class = machine(&[
                ("drm/card0/device/vendor", "0x1002"),
                ("drm/card0/device/mem_info_vram_total", total),
                ("drm/card0/device/mem_info_vram_used", used),
            ]);
            assert!(readings(class.path(), &[1]).is_empty(), "{total} {used}");
        }
        assert!(gpus(Path::new("/nowhere")).is_empty());
    }

    #[test]
    fn our_share_is_what_the_compute_driver_counts() {
        let class = machine(&[
            ("drm/card0/device/vendor", "0x1002"),
            ("drm/card0/device/mem_info_vram_total", "1000"),
            ("drm/card0/device/mem_info_vram_used", "700"),
            ("drm/card0/device/drm/renderD129/dev", ""),
            (
                "kfd/kfd/topology/nodes/0/properties",
                "cpu_cores_count 8\ndrm_render_minor 0\n",
            ),
            ("kfd/kfd/topology/nodes/0/gpu_id", "0"),
            (
                "kfd/kfd/topology/nodes/1/properties",
                "simd_count 1\ndrm_render_minor 129\n",
            ),
            ("kfd/kfd/topology/nodes/1/gpu_id", "4242"),
            ("kfd/kfd/proc/7/vram_4242", "300"),
            ("kfd/kfd/proc/8/vram_4242", "200"),
            ("kfd/kfd/proc/9/vram_1111", "100"),
        ]);
        for (pids, own) in [(vec![7, 9, 10], 300), (vec![7, 8], 500), (vec![], 0)] {
            let readings = readings(class.path(), &pids);
            assert_eq!(readings[0].1.own_bytes, own, "{pids:?}");
            assert_eq!(readings[0].1.available_bytes, 300);
        }
    }
}
