//! The committed pictures: they are what the program and the documentation say they are.

use super::IconKind;

const KINDS: [IconKind; 6] = [
    IconKind::Idle,
    IconKind::Working,
    IconKind::Loading,
    IconKind::Warning,
    IconKind::Paused,
    IconKind::Stopped,
];
const LIGHT: [f64; 3] = [246.0, 245.0, 244.0];
const DARK: [f64; 3] = [36.0, 36.0, 36.0];

#[test]
fn every_kind_has_every_size_with_transparent_corners() {
    for kind in KINDS {
        let pictures = kind.pictures();
        let sizes: Vec<u32> = pictures.iter().map(|picture| picture.size).collect();
        assert_eq!(sizes, [16, 22, 24, 32, 48], "{}", kind.as_str());
        for picture in pictures {
            assert_eq!(picture.rgba.len(), (picture.size * picture.size * 4) as usize);
            assert_eq!(picture.rgba[3], 0, "the corner of {} is not clear", kind.as_str());
            let opaque = picture.rgba.chunks(4).filter(|pixel| pixel[3] == 255).count();
            assert!(opaque * 6 > (picture.size * picture.size) as usize);
        }
    }
}

#[test]
fn no_two_kinds_look_alike_even_without_colour() {
    let grey = |kind: IconKind| -> Vec<f64> {
        let picture = kind.pictures().remove(0);
        picture.rgba.chunks(4).map(|pixel| over(pixel, DARK)).collect()
    };
    for (index, one) in KINDS.into_iter().enumerate() {
        for other in &KINDS[index + 1..] {
            let pairs = grey(one).into_iter().zip(grey(*other));
            let different = pairs.filter(|(a, b)| (a - b).abs() > 0.08).count();
            assert!(
                different >= 16,
                "{} and {}: {different}",
                one.as_str(),
                other.as_str()
            );
        }
    }
}

/// A picture is seen on a panel if enough of it has the contrast that graphics need (3 to 1).
#[test]
fn every_kind_is_readable_in_light_and_dark_panels() {
    for kind in KINDS {
        for panel in [LIGHT, DARK] {
            let background = luminance(panel);
            let picture = kind.pictures().remove(0);
            let visible = picture.rgba.chunks(4).filter(|pixel| {
                let seen = over(pixel, panel);
                (seen.max(background) + 0.05) / (seen.min(background) + 0.05) >= 3.0
            });
            let count = visible.count();
            assert!(count >= 32, "{} on {panel:?}: {count} pixels", kind.as_str());
        }
    }
}

#[test]
fn every_picture_has_its_source() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("icons");
    for kind in KINDS {
        for grid in [16, 22] {
            let source = folder.join(format!("{}-{grid}.svg", kind.as_str()));
            let text = std::fs::read_to_string(&source).unwrap();
            assert!(text.contains(&format!("viewBox=\"0 0 {grid} {grid}\"")), "{text}");
        }
    }
}

/// How bright a pixel is on a background, 0 to 1.
fn over(pixel: &[u8], background: [f64; 3]) -> f64 {
    let opacity = f64::from(pixel[3]) / 255.0;
    let mixed =
        [0, 1, 2].map(|channel| f64::from(pixel[channel]) * opacity + background[channel] * (1.0 - opacity));
    luminance(mixed)
}

fn luminance(rgb: [f64; 3]) -> f64 {
    let [red, green, blue] = rgb.map(|channel| {
        let channel = channel / 255.0;
        if channel <= 0.040_45 {
            channel / 12.92
        } else {
            ((channel + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}
