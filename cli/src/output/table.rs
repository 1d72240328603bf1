//! Plain aligned columns.

use crate::output::{report::Text, sanitize};

/// Adds `rows` below `header` to `text`: columns two spaces apart, the last one as long as it is.
pub fn table(text: &mut Text, header: &[&str], rows: &[Vec<String>]) {
    let header = header.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let rows = std::iter::once(&header)
        .chain(rows)
        .map(|row| row.iter().map(|cell| sanitize::short(cell)).collect::<Vec<_>>())
        .collect::<Vec<_>>();
    let widths = (0..header.len())
        .map(|column| {
            rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect::<Vec<_>>();
    for row in rows {
        let cells =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect::<Vec<_>>();
        text.line(cells.join("  ").trim_end());
    }
}
