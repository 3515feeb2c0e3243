use serde::Serialize;

/// The part of the world that metrics name an edge's or a region's traffic by.
///
/// Source: Global Accelerator developer guide, "Metric dimensions": the values of `SourceRegion` and
/// `DestinationEdge`. The guide says of `AP` that Korea and India are not in it; which country belongs where it does
/// not say beyond that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TrafficArea {
    /// North America.
    Na,
    /// Europe.
    Eu,
    /// Asia and the Pacific, without Korea and India.
    Ap,
    /// South Korea.
    Kr,
    /// India.
    In,
    /// Australia and New Zealand.
    Au,
    /// The Middle East.
    Me,
    /// South America.
    Sa,
    /// South Africa and the rest of its continent.
    Za,
}

/// Countries of Asia that are the Middle East's, whatever the continent's name says (Perigee's choice: those of
/// CloudFront's price region of that name, and their neighbours).
const MIDDLE_EAST: [&str; 14] = ["AE", "BH", "IL", "IQ", "IR", "JO", "KW", "LB", "OM", "PS", "QA", "SA", "SY", "YE"];

impl TrafficArea {
    /// All of them.
    pub const ALL: [Self; 9] =
        [Self::Na, Self::Eu, Self::Ap, Self::Kr, Self::In, Self::Au, Self::Me, Self::Sa, Self::Za];

    /// The area of a country, by its ISO 3166 code and its continent's code (`AF AN AS EU OC NA SA`).
    ///
    /// A country with an area of its own needs no continent, others none without it; Antarctica has none. Turkey is
    /// Europe's and the islands of the Pacific are Asia's (Perigee's choice, after the price regions of CloudFront).
    pub fn of(country: &str, continent: Option<&str>) -> Option<Self> {
        match country {
            "KR" => return Some(Self::Kr),
            "IN" => return Some(Self::In),
            "AU" | "NZ" => return Some(Self::Au),
            "TR" => return Some(Self::Eu),
            _ if MIDDLE_EAST.contains(&country) => return Some(Self::Me),
            _ => {}
        }
        match continent? {
            "NA" => Some(Self::Na),
            "EU" => Some(Self::Eu),
            "AS" | "OC" => Some(Self::Ap),
            "SA" => Some(Self::Sa),
            "AF" => Some(Self::Za),
            _ => None,
        }
    }

    /// Its value in metrics.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Na => "NA",
            Self::Eu => "EU",
            Self::Ap => "AP",
            Self::Kr => "KR",
            Self::In => "IN",
            Self::Au => "AU",
            Self::Me => "ME",
            Self::Sa => "SA",
            Self::Za => "ZA",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tables, shipped};

    #[test]
    fn t21_seoul_is_kr_and_tokyo_is_ap() {
        assert_eq!(TrafficArea::of("KR", Some("AS")), Some(TrafficArea::Kr));
        assert_eq!(TrafficArea::of("JP", Some("AS")), Some(TrafficArea::Ap));
    }

    #[test]
    fn every_region_has_an_area_and_every_area_but_that_of_no_region_has_one() {
        let tables = Tables::parse(shipped::REGIONS, shipped::REGION_RTT, shipped::EDGES).unwrap();
        let area = |code: &str| {
            let region = tables.region(code).unwrap();
            TrafficArea::of(&region.country, Some(region.continent)).map(TrafficArea::code)
        };
        for (code, expected) in [
            ("us-east-1", "NA"),
            ("mx-central-1", "NA"),
            ("eu-central-1", "EU"),
            ("ap-northeast-1", "AP"),
            ("ap-northeast-2", "KR"),
            ("ap-south-1", "IN"),
            ("ap-southeast-2", "AU"),
            ("me-south-1", "ME"),
            ("il-central-1", "ME"),
            ("sa-east-1", "SA"),
            ("af-south-1", "ZA"),
        ] {
            assert_eq!(area(code), Some(expected), "{code}");
        }
        assert!(tables.regions().iter().all(|r| area(r.code.as_str()).is_some()));
    }

    #[test]
    fn a_country_of_an_unknown_continent_has_no_area_unless_it_is_one() {
        assert_eq!(TrafficArea::of("XX", None), None);
        assert_eq!(TrafficArea::of("AQ", Some("AN")), None);
        assert_eq!(TrafficArea::of("KR", None), Some(TrafficArea::Kr));
        assert_eq!(TrafficArea::of("TR", Some("AS")), Some(TrafficArea::Eu));
        assert_eq!(TrafficArea::ALL.map(TrafficArea::code).join(" "), "NA EU AP KR IN AU ME SA ZA");
    }
}
