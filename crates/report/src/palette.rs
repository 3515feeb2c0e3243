use perigee_sim::Outcome;
use plotters::style::RGBColor;

/// Colours of regions: after Okabe and Ito, "Color Universal Design" (2008), whose set can be told apart with any
/// common colour blindness; its black and its bright yellow, which vanish on a dark or a white page, are replaced by
/// a violet and an olive of clearly different lightness (Perigee's choice).
pub(crate) const COLOURS: [RGBColor; 8] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x7B, 0x5E, 0xC6),
    RGBColor(0xA8, 0x9A, 0x2A),
];

/// All other regions.
pub(crate) const REST: RGBColor = RGBColor(0x8F, 0x99, 0xA3);

/// Which regions are shown by name, and in which colours: the same in every plot, map and table of a report.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Palette {
    codes: Vec<String>,
}

impl Palette {
    /// Regions that a fault took away come first, then the two that gained most by it, then those with the most
    /// answers at any one time; as many as there are colours, in the order of all their answers.
    pub(crate) fn of(outcomes: &[&Outcome]) -> Self {
        let mut all: Vec<Standing> = Vec::new();
        for outcome in outcomes {
            let heirs = heirs(outcome);
            for (i, site) in outcome.regions.iter().enumerate() {
                let answers = outcome.series.iter().filter_map(|s| s.regions.get(i)).map(|r| r.ok);
                let (peak, sum) = answers.fold((0, 0), |(peak, sum), ok| (peak.max(ok), sum + ok));
                let broken = outcome.anatomies.iter().any(|a| names(&a.what, &site.code));
                let part = if broken { 2 } else { u8::from(heirs.contains(&i)) };
                match all.iter_mut().find(|s| s.code == site.code) {
                    Some(s) => (s.part, s.peak, s.sum) = (s.part.max(part), s.peak.max(peak), s.sum + sum),
                    None => all.push(Standing { code: site.code.clone(), part, peak, sum }),
                }
            }
        }
        all.sort_by(|a, b| (b.part, b.peak, &a.code).cmp(&(a.part, a.peak, &b.code)));
        all.truncate(COLOURS.len());
        all.sort_by(|a, b| (b.sum, &a.code).cmp(&(a.sum, &b.code)));
        Self { codes: all.into_iter().map(|s| s.code).collect() }
    }

    /// The regions shown by name.
    pub(crate) fn named(&self) -> &[String] {
        &self.codes
    }

    /// The colour of a region.
    pub(crate) fn colour(&self, code: &str) -> RGBColor {
        self.codes.iter().position(|c| c == code).map_or(REST, |i| COLOURS[i])
    }
}

struct Standing {
    code: String,
    /// Its part in the faults: 2 broken, 1 heir, 0 none.
    part: u8,
    peak: u64,
    sum: u64,
}

/// By position, the two regions that gained most answers by each failover: in the time that it took, at most an hour,
/// against the same time before.
fn heirs(outcome: &Outcome) -> Vec<usize> {
    let mut heirs = Vec::new();
    for anatomy in &outcome.anatomies {
        let span_s = anatomy.mended_s.unwrap_or(600.0).clamp(outcome.step_s, outcome.step_s.max(3_600.0));
        let answers = |i: usize, from_s: f64| {
            let steps = outcome.series.iter().filter(move |s| (from_s..from_s + span_s).contains(&s.at_s));
            steps.filter_map(|s| s.regions.get(i)).map(|r| r.ok).sum::<u64>()
        };
        let gain = |i: usize| answers(i, anatomy.at_s).saturating_sub(answers(i, anatomy.at_s - span_s));
        let mut gains: Vec<(u64, usize)> = (0..outcome.regions.len()).map(|i| (gain(i), i)).collect();
        gains.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        heirs.extend(gains.iter().take(2).filter(|(gain, _)| *gain > 0).map(|(_, i)| *i));
    }
    heirs
}

/// Whether `what` speaks of the region: its code stands there as a word, alone or with a zone's letter behind it.
fn names(what: &str, code: &str) -> bool {
    what.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|word| {
        word == code || word.strip_prefix(code).is_some_and(|zone| matches!(zone.as_bytes(), [b'a'..=b'z']))
    })
}

/// `#RRGGBB`.
pub(crate) fn hex(colour: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_broken_region_has_a_colour_however_small_it_is() {
        let mut outcome = sample::outcome();
        outcome.anatomies[0].what = "zone af-south-1b".into();
        let palette = Palette::of(&[&outcome]);
        assert_eq!(palette.named().len(), COLOURS.len());
        assert_ne!(palette.colour("af-south-1"), REST);
    }

    #[test]
    fn the_regions_that_took_over_have_colours() {
        let palette = Palette::of(&[&sample::outcome()]);
        let heirs = ["ap-northeast-3", "ap-northeast-2"];
        assert!(heirs.iter().all(|code| palette.named().iter().any(|c| c == code)), "{palette:?}");
    }

    #[test]
    fn two_runs_share_one_set_of_colours() {
        let (a, b) = (sample::outcome(), sample::outcome());
        assert_eq!(Palette::of(&[&a, &b]), Palette::of(&[&b, &a]));
        assert!(!names("region us-east-10", "us-east-1"));
        assert!(names("us-east-1a", "us-east-1"));
    }
}
