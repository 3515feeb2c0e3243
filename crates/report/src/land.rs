use serde::Deserialize;

/// The land outline of Natural Earth, 1:110m; its origin stands in `geo/README.md`.
const LAND: &str = include_str!("../../../geo/land-110m.geojson");

#[derive(Deserialize)]
struct Collection {
    features: Vec<Feature>,
}

#[derive(Deserialize)]
struct Feature {
    geometry: Geometry,
}

#[derive(Deserialize)]
#[serde(tag = "type", content = "coordinates")]
enum Geometry {
    Polygon(Vec<Ring>),
    MultiPolygon(Vec<Vec<Ring>>),
}

/// Longitude and latitude in degrees, in that order, first point and last the same.
pub(crate) type Ring = Vec<[f64; 2]>;

/// The rings of all land, coasts and inland seas alike: filled by the even-odd rule they are the land.
pub(crate) fn rings() -> Result<Vec<Ring>, serde_json::Error> {
    let all: Collection = serde_json::from_str(LAND)?;
    let polygons = all.features.into_iter().flat_map(|f| match f.geometry {
        Geometry::Polygon(polygon) => vec![polygon],
        Geometry::MultiPolygon(polygons) => polygons,
    });
    Ok(polygons.flatten().collect())
}

/// A ring in pieces that lie within 180 degrees west and east. A ring that crosses the date line steps from one side
/// of the page to the other; it is unrolled, and what leaves the page on one side enters it on the other.
pub(crate) fn on_page(ring: &Ring) -> Vec<Ring> {
    let mut turn = 0.0;
    let mut unrolled: Ring = Vec::with_capacity(ring.len());
    for (i, p) in ring.iter().enumerate() {
        if i > 0 {
            let step = p[0] - ring[i - 1][0];
            if step.abs() > 180.0 {
                turn -= 360f64.copysign(step);
            }
        }
        unrolled.push([p[0] + turn, p[1]]);
    }
    let shifted = |by: f64| unrolled.iter().map(|p| [p[0] + by, p[1]]).collect::<Ring>();
    let inside = [-360.0, 0.0, 360.0].into_iter().map(|by| clip(&clip(&shifted(by), -180.0, 1.0), 180.0, -1.0));
    inside.filter(|ring| ring.len() > 2).collect()
}

/// The part of a ring on one side of a meridian: east of it for `side` 1, west for -1.
///
/// Source: Sutherland and Hodgman, "Reentrant polygon clipping", Communications of the ACM 17 (1974).
fn clip(ring: &Ring, meridian: f64, side: f64) -> Ring {
    let inside = |p: &[f64; 2]| (p[0] - meridian) * side >= 0.0;
    let mut out = Ring::new();
    for (i, p) in ring.iter().enumerate() {
        let last = &ring[(i + ring.len() - 1) % ring.len()];
        if inside(p) != inside(last) {
            let part = (meridian - last[0]) / (p[0] - last[0]);
            out.push([meridian, last[1] + part * (p[1] - last[1])]);
        }
        if inside(p) {
            out.push(*p);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_land_is_closed_and_on_the_globe() {
        let rings = rings().unwrap();
        assert!(rings.len() > 100, "{}", rings.len());
        for ring in &rings {
            assert_eq!(ring.first(), ring.last());
            assert!(ring.iter().all(|[lon, lat]| lon.abs() <= 180.0 && lat.abs() <= 90.0));
        }
    }

    #[test]
    fn land_over_the_date_line_stands_on_both_sides_of_the_page() {
        let ring = vec![[170.0, 60.0], [-170.0, 60.0], [-170.0, 70.0], [170.0, 70.0], [170.0, 60.0]];
        let mut pieces = on_page(&ring);
        pieces.iter_mut().for_each(|p| p.sort_by(|a, b| a[0].total_cmp(&b[0])));
        let ends: Vec<(f64, f64)> = pieces.iter().map(|p| (p[0][0], p[p.len() - 1][0])).collect();
        assert_eq!(ends, [(-180.0, -170.0), (170.0, 180.0)]);
    }

    #[test]
    fn no_coast_runs_across_the_page() {
        for ring in rings().unwrap().iter().filter(|r| r.iter().all(|p| p[1] > -57.0)).flat_map(on_page) {
            assert!(ring.windows(2).all(|w| (w[0][0] - w[1][0]).abs() < 60.0), "{:?}", ring[0]);
        }
    }
}
