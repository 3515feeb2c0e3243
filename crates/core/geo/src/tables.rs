use csv::{ReaderBuilder, StringRecord};
use perigee_model::{Location, PopCode, RegionCode};
use serde::Serialize;

use crate::place::{is_country, location};
use crate::{GeoError, areas};

/// Rows that a table may have; far above the real number, so that a wrong file is refused and not stored.
const ROWS_MAX: usize = 1_024;
/// Longest field, bytes.
const FIELD_BYTES_MAX: usize = 128;

const REGIONS: &str = "regions";
const ROUND_TRIPS: &str = "region round trips";
const EDGES: &str = "edge locations";

/// A region that the tables know.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TableRegion {
    /// Its code.
    pub code: RegionCode,
    /// The city it is named after.
    pub city: String,
    /// ISO 3166 code.
    pub country: String,
    /// Its continent's code: `AF AN AS EU OC NA SA`.
    pub continent: &'static str,
    /// Where it is.
    pub location: Location,
    /// How many availability zones it has.
    pub zones: u8,
}

/// An edge: a point of presence where clients enter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pop {
    /// IATA code of its city.
    pub code: PopCode,
    /// Its city.
    pub city: String,
    /// ISO 3166 code.
    pub country: String,
    /// Where it is.
    pub location: Location,
}

/// Regions, the round trips between them, and edges.
#[derive(Clone, Debug, PartialEq)]
pub struct Tables {
    regions: Vec<TableRegion>,
    /// Row by row: from, then to.
    rtt_ms: Vec<Option<f32>>,
    edges: Vec<Pop>,
}

impl Tables {
    /// Reads the three tables, CSV with the headers of the files in `geo/`.
    ///
    /// The matrix is square and has the regions' codes in their order on both sides; an empty cell is a pair that
    /// nobody measured. Rows are kept in order of their codes. Errors: the first wrong line, with its number: a
    /// missing or extra field, a bad coordinate, country or number, a code given twice.
    pub fn parse(regions_csv: &[u8], rtt_csv: &[u8], edges_csv: &[u8]) -> Result<Self, GeoError> {
        let regions = parse_regions(regions_csv)?;
        let rtt_ms = parse_round_trips(rtt_csv, &regions)?;
        Ok(Self { regions, rtt_ms, edges: parse_edges(edges_csv)? })
    }

    /// The regions in order of their codes.
    pub fn regions(&self) -> &[TableRegion] {
        &self.regions
    }

    /// The edges in order of their codes.
    pub fn edges(&self) -> &[Pop] {
        &self.edges
    }

    /// The region with this code, if the tables know it.
    pub fn region(&self, code: &str) -> Option<&TableRegion> {
        Some(&self.regions[self.region_position(code)?])
    }

    /// Median round trip in milliseconds; none when a code is unknown or the pair was not measured.
    pub fn rtt_ms(&self, from: &str, to: &str) -> Option<f32> {
        self.rtt_between(self.region_position(from)?, self.region_position(to)?)
    }

    pub(crate) fn region_position(&self, code: &str) -> Option<usize> {
        self.regions.binary_search_by(|r| r.code.as_str().cmp(code)).ok()
    }

    pub(crate) fn rtt_between(&self, from: usize, to: usize) -> Option<f32> {
        self.rtt_ms[from * self.regions.len() + to]
    }

    /// Where a client is taken to be of whom only the country is known: at the country's region with the most
    /// zones, else at its edge, the lowest code first, else nowhere.
    ///
    /// Perigee's choice: networks gather where cloud regions and edges were built, a centroid is often wilderness.
    pub(crate) fn country_stand_in(&self, country: &str) -> Option<Location> {
        let in_country = self.regions.iter().rev().filter(|r| r.country == country);
        let edge = || self.edges.iter().find(|e| e.country == country).map(|e| e.location);
        in_country.max_by_key(|r| r.zones).map(|r| r.location).or_else(edge)
    }
}

fn parse_regions(bytes: &[u8]) -> Result<Vec<TableRegion>, GeoError> {
    let header = ["code", "city", "country", "continent", "latitude", "longitude", "availability_zones"];
    let mut regions = Vec::new();
    for row in rows(REGIONS, bytes, Some(&header))? {
        regions.push(TableRegion {
            code: RegionCode::new(row.text(0)?),
            city: row.text(1)?.to_owned(),
            country: row.country(2)?,
            continent: row.continent(3)?,
            location: row.location(4)?,
            zones: row.number(6, |n: &u8| (1..=26).contains(n), "a number of zones, 1 to 26")?,
        });
    }
    regions.sort_by(|a, b| a.code.cmp(&b.code));
    unique(REGIONS, regions.iter().map(|r| r.code.as_str()))?;
    Ok(regions)
}

fn parse_edges(bytes: &[u8]) -> Result<Vec<Pop>, GeoError> {
    let header = ["code", "city", "country", "country_code", "latitude", "longitude", "pricing_region"];
    let mut edges = Vec::new();
    for row in rows(EDGES, bytes, Some(&header))? {
        edges.push(Pop {
            code: PopCode::new(row.text(0)?),
            city: row.text(1)?.to_owned(),
            country: row.country(3)?,
            location: row.location(4)?,
        });
    }
    edges.sort_by(|a, b| a.code.cmp(&b.code));
    unique(EDGES, edges.iter().map(|e| e.code.as_str()))?;
    Ok(edges)
}

fn parse_round_trips(bytes: &[u8], regions: &[TableRegion]) -> Result<Vec<Option<f32>>, GeoError> {
    let codes = || regions.iter().map(|r| r.code.as_str());
    let rows = rows(ROUND_TRIPS, bytes, None)?;
    let wrong = |line, problem: &str| GeoError::Table { table: ROUND_TRIPS, line, problem: problem.to_owned() };
    let Some((header, rows)) = rows.split_first() else { return Err(wrong(1, "the table is empty")) };
    if !header.fields.iter().skip(1).eq(codes()) {
        return Err(wrong(header.line, "the columns must be the codes of the regions table in ascending order"));
    }
    if rows.len() != regions.len() {
        return Err(wrong(header.line, "one row for each region is expected"));
    }
    let mut cells = Vec::with_capacity(regions.len() * regions.len());
    for (row, code) in rows.iter().zip(codes()) {
        if row.text(0)? != code {
            return Err(wrong(row.line, &format!("the row of {code} is expected")));
        }
        for column in 1..=regions.len() {
            let measured = row.fields.get(column).is_some_and(|f| !f.is_empty());
            let in_range = |ms: &f32| *ms > 0.0 && *ms <= 10_000.0;
            let cell = measured.then(|| row.number(column, in_range, "milliseconds above 0 and up to 10000"));
            cells.push(cell.transpose()?);
        }
    }
    Ok(cells)
}

/// A row with the line it stands on.
pub(crate) struct Row {
    table: &'static str,
    line: u64,
    fields: StringRecord,
}

/// The rows of a table below its header, or with it when none is asked for. All have the same number of fields.
pub(crate) fn rows(table: &'static str, bytes: &[u8], header: Option<&[&str]>) -> Result<Vec<Row>, GeoError> {
    let mut reader = ReaderBuilder::new().has_headers(false).from_reader(bytes);
    let mut rows = Vec::new();
    for record in reader.records() {
        let fields = record.map_err(|e| GeoError::Table {
            table,
            line: e.position().map_or(1, csv::Position::line),
            problem: e.to_string(),
        })?;
        let line = fields.position().map_or(1, csv::Position::line);
        let row = Row { table, line, fields };
        if rows.len() > ROWS_MAX {
            return Err(row.wrong(format!("at most {ROWS_MAX} rows are accepted")));
        }
        if row.fields.iter().any(|f| f.len() > FIELD_BYTES_MAX || f.chars().any(char::is_control)) {
            return Err(row.wrong(format!("a field is longer than {FIELD_BYTES_MAX} bytes or has control characters")));
        }
        rows.push(row);
    }
    let Some(header) = header else { return Ok(rows) };
    match rows.first() {
        Some(first) if first.fields.iter().eq(header.iter().copied()) => {
            rows.remove(0);
            Ok(rows)
        }
        _ => Err(GeoError::Table { table, line: 1, problem: format!("the header must be {}", header.join(",")) }),
    }
}

impl Row {
    pub(crate) fn wrong(&self, problem: String) -> GeoError {
        GeoError::Table { table: self.table, line: self.line, problem }
    }

    /// The field as it stands, maybe empty.
    pub(crate) fn raw(&self, column: usize) -> &str {
        self.fields.get(column).unwrap_or_default()
    }

    /// A field that must not be empty.
    pub(crate) fn text(&self, column: usize) -> Result<&str, GeoError> {
        match self.raw(column) {
            "" => Err(self.wrong(format!("field {} is empty", column + 1))),
            text => Ok(text),
        }
    }

    pub(crate) fn country(&self, column: usize) -> Result<String, GeoError> {
        let code = self.text(column)?;
        if is_country(code) {
            Ok(code.to_owned())
        } else {
            Err(self.wrong(format!("{code:?} is no country code: two capital letters are expected")))
        }
    }

    fn continent(&self, column: usize) -> Result<&'static str, GeoError> {
        let code = self.text(column)?;
        let known = || format!("{code:?} is no continent: one of {} is expected", areas::CONTINENTS.join(", "));
        areas::continent(code).ok_or_else(|| self.wrong(known()))
    }

    /// Degrees north in `column`, degrees east in the next.
    pub(crate) fn location(&self, column: usize) -> Result<Location, GeoError> {
        let [latitude, longitude] = [column, column + 1].map(|c| self.raw(c).parse().unwrap_or(f64::NAN));
        location(latitude, longitude).ok_or_else(|| {
            let (lat, lon) = (self.raw(column), self.raw(column + 1));
            self.wrong(format!("{lat:?}, {lon:?} is no location: degrees north -90 to 90, east -180 to 180"))
        })
    }

    fn number<T: std::str::FromStr>(
        &self,
        column: usize,
        accepted: impl Fn(&T) -> bool,
        expected: &str,
    ) -> Result<T, GeoError> {
        let text = self.raw(column);
        let number = text.parse().ok().filter(accepted);
        number.ok_or_else(|| self.wrong(format!("{text:?} is not {expected}")))
    }
}

/// Errors on the first code of a sorted list that is given twice.
fn unique<'a>(table: &'static str, codes: impl Iterator<Item = &'a str>) -> Result<(), GeoError> {
    let mut last = None;
    for code in codes {
        if last == Some(code) {
            return Err(GeoError::Table { table, line: 1, problem: format!("{code} is given twice") });
        }
        last = Some(code);
    }
    Ok(())
}
