//! Columns.

use console::measure_text_width;

use super::Page;

/// Lines with columns two blanks apart, below a header; cells may be coloured. The lines are cut to the page.
pub(super) fn table(header: &[&str], rows: &[Vec<String>], page: &Page) -> String {
    let header: Vec<String> = header.iter().map(|h| page.paint.dim(h)).collect();
    let all = || std::iter::once(&header).chain(rows);
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            all()
                .filter_map(|row| row.get(column))
                .map(|c| measure_text_width(c))
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in all() {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| pad(cell, *width))
            .collect();
        text.push_str(&page.fit(cells.join("  ").trim_end()));
        text.push('\n');
    }
    text
}

/// Fills a cell with blanks up to `width`.
pub(super) fn pad(cell: &str, width: usize) -> String {
    console::pad_str(cell, width, console::Alignment::Left, None).into_owned()
}
