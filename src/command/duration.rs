//! Spans of time as operators write them: `90s`, `15m`, `12h`, `7d`.

/// Seconds of such a text.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let seconds = text.char_indices().last().and_then(|(end, unit)| {
        let unit = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 24 * 3600,
            _ => return None,
        };
        text[..end].parse::<u64>().ok()?.checked_mul(unit)
    });
    seconds.ok_or_else(|| "a number with s, m, h or d behind it, for example 7d".to_owned())
}

/// The largest unit that says enough.
pub(super) fn show(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7200 => format!("{}m", seconds / 60),
        7200..172_800 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / (24 * 3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_units_and_refuses_everything_else() {
        assert_eq!([parse("90s"), parse("15m"), parse("12h"), parse("7d")], [Ok(90), Ok(900), Ok(43_200), Ok(604_800)]);
        for wrong in ["", "7", "d", "-1d", "1.5h", "7 d", "18446744073709551615d", "7\u{20ac}"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!([show(90), show(900), show(7200), show(604_800)], ["90s", "15m", "2h", "7d"]);
    }
}
