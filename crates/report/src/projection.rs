//! The world on a flat page.

/// Degrees to the plane by the Natural Earth projection: x in -2.74 to 2.74, y in -1.43 to 1.43 and growing upwards.
///
/// The polynomial of Bojan Šavrič, Bernhard Jenny, Tom Patterson, Dušan Petrovič, Lorenz Hurni: "A Polynomial Equation
/// for the Natural Earth Projection", Cartography and Geographic Information Science 38 (2011).
pub(crate) fn natural_earth(latitude: f64, longitude: f64) -> (f64, f64) {
    let (phi, lambda) = (latitude.to_radians(), longitude.to_radians());
    let (phi2, phi4) = (phi.powi(2), phi.powi(4));
    let x = lambda * (0.8707 - 0.131979 * phi2 + phi4 * (-0.013791 + phi4 * (0.003971 * phi2 - 0.001529 * phi4)));
    let y = phi * (1.007226 + phi2 * (0.015085 + phi4 * (-0.044475 + 0.028874 * phi2 - 0.005916 * phi4)));
    (x, y)
}

/// The shortest way between two places as runs of latitude and longitude, one run more for each crossing of the date
/// line. A point about every four degrees.
pub(crate) fn great_circle(from: (f64, f64), to: (f64, f64)) -> Vec<Vec<(f64, f64)>> {
    let (a, b) = (unit(from), unit(to));
    let cosine = a.iter().zip(&b).map(|(x, y)| x * y).sum::<f64>().clamp(-1.0, 1.0);
    let angle = cosine.acos();
    if angle.sin() < 1e-6 {
        return vec![vec![from, to]];
    }
    let n = (angle.to_degrees() / 4.0).ceil().max(2.0);
    let mut runs = vec![vec![from]];
    let mut last = from;
    for i in 1..=n as u32 {
        let t = f64::from(i) / n;
        let (p, q) = (((1.0 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin());
        let at = place(std::array::from_fn(|k| p * a[k] + q * b[k]));
        if (at.1 - last.1).abs() > 180.0 {
            let side = 180f64.copysign(last.1);
            let beyond = at.1 + 360f64.copysign(last.1);
            let part = if beyond == last.1 { 0.0 } else { (side - last.1) / (beyond - last.1) };
            let latitude = last.0 + part * (at.0 - last.0);
            if let Some(run) = runs.last_mut() {
                run.push((latitude, side));
            }
            runs.push(vec![(latitude, -side)]);
        }
        if let Some(run) = runs.last_mut() {
            run.push(at);
        }
        last = at;
    }
    runs
}

fn unit((latitude, longitude): (f64, f64)) -> [f64; 3] {
    let (phi, lambda) = (latitude.to_radians(), longitude.to_radians());
    [phi.cos() * lambda.cos(), phi.cos() * lambda.sin(), phi.sin()]
}

fn place([x, y, z]: [f64; 3]) -> (f64, f64) {
    (z.atan2(x.hypot(y)).to_degrees(), y.atan2(x).to_degrees())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projection_is_the_published_one_at_its_corners() {
        let (x, y) = natural_earth(0.0, 180.0);
        assert!((x - 0.8707 * std::f64::consts::PI).abs() < 1e-12 && y == 0.0);
        let pole = natural_earth(90.0, 0.0).1;
        assert!((1.42..1.43).contains(&pole), "{pole}");
        assert_eq!(natural_earth(-35.0, -60.0), {
            let (x, y) = natural_earth(35.0, 60.0);
            (-x, -y)
        });
    }

    #[test]
    fn the_way_over_the_pacific_is_cut_at_the_date_line() {
        let runs = great_circle((35.0, 140.0), (37.0, -122.0));
        assert_eq!(runs.len(), 2);
        let (end, begin) = (runs[0].last().unwrap(), runs[1].first().unwrap());
        assert_eq!((end.1, begin.1, end.0), (180.0, -180.0, begin.0));
        assert!(runs.iter().flatten().any(|p| p.0 > 45.0), "it bends to the north");
    }

    #[test]
    fn a_place_reaches_itself() {
        assert_eq!(great_circle((1.0, 2.0), (1.0, 2.0)), [[(1.0, 2.0), (1.0, 2.0)]]);
    }
}
