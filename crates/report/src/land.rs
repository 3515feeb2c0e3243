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
type Ring = Vec<[f64; 2]>;

/// The rings of all land, coasts and inland seas alike: filled by the even-odd rule they are the land.
pub(crate) fn rings() -> Result<Vec<Ring>, serde_json::Error> {
    let all: Collection = serde_json::from_str(LAND)?;
    let polygons = all.features.into_iter().flat_map(|f| match f.geometry {
        Geometry::Polygon(polygon) => vec![polygon],
        Geometry::MultiPolygon(polygons) => polygons,
    });
    Ok(polygons.flatten().collect())
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
}
