//! Text that came from others, made safe to show, and times made readable.

/// Escapes what could act on a terminal or reorder a line: control characters except line breaks, and the characters
/// that override the direction of text.
pub(crate) fn safe(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if (character.is_control() && character != '\n') || turns_text(character) {
            escaped.extend(character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Direction overrides, embeddings and isolates.
pub(crate) fn turns_text(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `YYYY-MM-DD HH:MMZ` of milliseconds since the Unix epoch.
pub(crate) fn utc(time_ms: u64) -> String {
    let minutes = time_ms / 60_000;
    let (year, month, day) = civil(minutes / 1440);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}Z", minutes / 60 % 24, minutes % 60)
}

/// `Fri YYYY-MM-DD`, in UTC, of milliseconds since the Unix epoch.
pub(crate) fn day(time_ms: u64) -> String {
    // The first day of the epoch was a Thursday.
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let days = time_ms / 86_400_000;
    let name = usize::try_from(days % 7).map_or("", |index| DAYS[index]);
    format!("{name} {}", &utc(time_ms)[..10])
}

/// `HH:MM`, in UTC, of milliseconds since the Unix epoch.
pub(crate) fn time_of_day(time_ms: u64) -> String {
    let minutes = time_ms / 60_000;
    format!("{:02}:{:02}", minutes / 60 % 24, minutes % 60)
}

/// The Gregorian date of a day counted from 1970-01-01, by eras of 400 years that start in March.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_right_across_leap_days() {
        assert_eq!(utc(0), "1970-01-01 00:00Z");
        assert_eq!(utc(951_782_400_000), "2000-02-29 00:00Z");
        assert_eq!(utc(1_772_323_140_000), "2026-02-28 23:59Z");
        assert_eq!(utc(1_772_323_200_000), "2026-03-01 00:00Z");
    }

    #[test]
    fn days_have_their_names() {
        assert_eq!((day(0), time_of_day(86_399_999)), ("Thu 1970-01-01".to_owned(), "23:59".to_owned()));
        assert_eq!(day(1_772_323_200_000), "Sun 2026-03-01");
        assert!(day(u64::MAX).len() > 4, "no time makes it panic");
    }

    #[test]
    fn hostile_characters_are_shown_not_obeyed() {
        assert_eq!(safe("a\tb"), "a\\u{9}b");
        assert_eq!(safe("\u{202e}x"), "\\u{202e}x");
        assert_eq!(safe("grüß\n😀"), "grüß\n😀");
    }
}
