use roxmltree::Node;
use tiny_skia::{Path, PathBuilder};
use ttf_parser::{Face, OutlineBuilder};

use super::element::{inherited, number};

/// Noto Sans, whose outlines stand for the letters of a text.
pub(super) struct Letters {
    face: Face<'static>,
}

impl Letters {
    pub(super) fn new() -> Result<Self, String> {
        Ok(Self { face: Face::parse(ttf_noto_sans::REGULAR, 0).map_err(|e| e.to_string())? })
    }

    /// The outlines of a `text` element in one line, letter beside letter without kerning; none where nothing is to be
    /// seen. A character that the font lacks is the font's box.
    pub(super) fn line(&self, node: Node<'_, '_>) -> Result<Option<Path>, String> {
        let raw: String = node.descendants().filter(Node::is_text).filter_map(|n| n.text()).collect();
        let words = raw.split_whitespace().collect::<Vec<_>>().join(" ");
        let size = inherited(node, "font-size").unwrap_or("16");
        let size: f32 = size.parse().map_err(|_| format!("`{size}` is not a size of letters"))?;
        let scale = size / f32::from(self.face.units_per_em());
        let width = words.chars().map(|c| self.advance(c)).sum::<f32>() * scale;
        let anchored = match inherited(node, "text-anchor") {
            Some("middle") => width / 2.0,
            Some("end") => width,
            _ => 0.0,
        };
        let (x, y) = (number(node, "x")? - anchored, number(node, "y")? + self.shift(node, size)?);
        let mut pen = Pen { path: PathBuilder::new(), x, y, scale };
        for c in words.chars() {
            self.face.outline_glyph(self.face.glyph_index(c).unwrap_or_default(), &mut pen);
            pen.x += self.advance(c) * scale;
        }
        Ok(pen.path.finish())
    }

    /// How far a character moves the pen, in units of the font.
    fn advance(&self, c: char) -> f32 {
        let glyph = self.face.glyph_index(c).unwrap_or_default();
        f32::from(self.face.glyph_hor_advance(glyph).unwrap_or_default())
    }

    /// `dy`: in sizes of the letters, in heights of an x, or in units of the page.
    fn shift(&self, node: Node<'_, '_>, size: f32) -> Result<f32, String> {
        let Some(text) = node.attribute("dy") else { return Ok(0.0) };
        let x_height = f32::from(self.face.x_height().unwrap_or_default()) / f32::from(self.face.units_per_em());
        let units = [("em", size), ("ex", size * x_height), ("", 1.0)];
        let read = units.into_iter().find_map(|(unit, of)| Some(text.strip_suffix(unit)?.parse::<f32>().ok()? * of));
        read.ok_or_else(|| format!("`{text}` is not a length"))
    }
}

/// Outlines of the font, which grow upwards, on the page, which grows downwards.
struct Pen {
    path: PathBuilder,
    x: f32,
    y: f32,
    scale: f32,
}

impl Pen {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.scale, self.y - y * self.scale)
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}
