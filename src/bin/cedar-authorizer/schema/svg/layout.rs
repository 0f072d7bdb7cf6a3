//! Where the boxes and lines of a picture are.
//!
//! ```text
//!  outer left  principals  inner left  actions  inner right  others  outer right
//!              ┌───────┐               ┌──────┐              ┌──────┐
//!              │ User  ├──────────────▶│ get  │       ┌─────▶│ Pet  ├───┐
//!            ┌─┤ in    │               │ post ├───────┘      └──────┘   │
//!            │ └───────┘               └──────┘              ┌──────┐   │
//!            │ ┌───────┐                                     │ Shop │◀──┘
//!            └▶│ Group │                                     └──────┘
//!              └───────┘
//! ```
//!
//! Lines run in the channels between the columns; see [`super::tracks`].

use std::collections::{BTreeMap, BTreeSet};

use super::tracks::{Channel, Line, TRACK, Tracks, lines};
use crate::schema::card::{Card, CardKind, LinkKind};
use crate::schema::text::cells;

/// All places, in pixels.
pub struct Layout {
    pub width: usize,
    pub height: usize,
    /// The places of the boxes, in the order of the cards.
    pub boxes: Vec<Place>,
    /// The left ends of the columns.
    pub columns: BTreeMap<Column, usize>,
    pub lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Column {
    /// The types of principals, and the types that they can be members of.
    #[default]
    Principals,
    Actions,
    /// Resources and everything else.
    Others,
}

/// The place of a box.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    pub column: Column,
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub height: usize,
}

impl Layout {
    pub fn new(cards: &[Card]) -> Self {
        let columns = columns(cards);
        let mut boxes: Vec<Place> = cards
            .iter()
            .zip(&columns)
            .map(|(card, column)| Place { column: *column, height: height(card), ..Place::default() })
            .collect();
        place_down(cards, &mut boxes);
        let tracks = Tracks::new(cards, &boxes);
        let starts = place_across(cards, &mut boxes, &tracks);
        let bottom = boxes.iter().map(|place| place.y + place.height).max().unwrap_or(TOP) + MARGIN;
        let lines = lines(cards, &boxes, &tracks, &starts.channels, bottom);
        Self {
            width: starts.end.max(MIN_WIDTH),
            height: bottom + tracks.detours() * TRACK + FOOT,
            boxes,
            columns: starts.columns,
            lines,
        }
    }
}

/// The column of each card.
fn columns(cards: &[Card]) -> Vec<Column> {
    let is_action =
        |card: &Card| matches!(card.kind, CardKind::Action | CardKind::Actions | CardKind::ActionGroup);
    let links =
        |kind: LinkKind| cards.iter().flat_map(|card| &card.links).filter(move |link| link.kind == kind);
    let mut left: BTreeSet<usize> = links(LinkKind::Principal).map(|link| link.card).collect();
    let mut open: Vec<usize> = left.iter().copied().collect();
    while let Some(next) = open.pop() {
        let parents = cards.get(next).into_iter().flat_map(|card| &card.links);
        open.extend(parents.map(|link| link.card).filter(|parent| left.insert(*parent)));
    }
    let column = |(number, card): (usize, &Card)| match card {
        card if is_action(card) => Column::Actions,
        _ if left.contains(&number) => Column::Principals,
        _ => Column::Others,
    };
    cards.iter().enumerate().map(column).collect()
}

fn height(card: &Card) -> usize {
    let body = if card.rows.is_empty() { 0 } else { card.rows.len() * ROW + 2 * PAD };
    HEAD + body
}

/// Where the text of a row stands, from the top of its box.
pub fn row_y(row: usize) -> usize {
    HEAD + PAD + row * ROW + ROW / 2
}

/// Puts the actions below each other in their order, and each other box beside what it is connected with.
fn place_down(cards: &[Card], boxes: &mut [Place]) {
    let mut y = TOP;
    for place in boxes.iter_mut().filter(|place| place.column == Column::Actions) {
        place.y = y;
        y += place.height + GAP;
    }
    let wanted = wanted(cards, boxes);
    for column in [Column::Principals, Column::Others] {
        let mut order: Vec<(usize, usize)> = boxes
            .iter()
            .enumerate()
            .filter(|(_, place)| place.column == column)
            .map(|(number, _)| (wanted.get(&number).copied().unwrap_or(usize::MAX), number))
            .collect();
        order.sort_unstable();
        let mut y = TOP;
        for (wanted, number) in order {
            let Some(place) = boxes.get_mut(number) else { continue };
            if wanted != usize::MAX {
                y = y.max(wanted.saturating_sub(place.height / 2));
            }
            place.y = y;
            y += place.height + GAP;
        }
    }
}

/// The heights at which entity types should be: at the middle of their actions, but near the first of
/// many; or else just below a type that can be a member of them.
fn wanted(cards: &[Card], boxes: &[Place]) -> BTreeMap<usize, usize> {
    let mut ends: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (card, place) in cards.iter().zip(boxes) {
        for link in card.links.iter().filter(|link| link.kind != LinkKind::Member) {
            ends.entry(link.card).or_default().push(place.y + row_y(link.row));
        }
    }
    let middle = |ends: &Vec<usize>| {
        let first = ends.iter().min().copied().unwrap_or_default();
        (ends.iter().sum::<usize>() / ends.len().max(1)).min(first + SCREEN)
    };
    let mut wanted: BTreeMap<usize, usize> = ends.iter().map(|(card, ends)| (*card, middle(ends))).collect();
    let mut open: Vec<usize> = wanted.keys().copied().collect();
    while let Some(next) = open.pop() {
        let below = wanted.get(&next).copied().unwrap_or_default() + 1;
        for link in cards.get(next).into_iter().flat_map(|card| &card.links) {
            wanted.entry(link.card).or_insert_with(|| {
                open.push(link.card);
                below
            });
        }
    }
    wanted
}

/// Where the channels and columns begin.
#[derive(Default)]
struct Starts {
    channels: BTreeMap<Channel, usize>,
    columns: BTreeMap<Column, usize>,
    end: usize,
}

/// Gives the boxes of a column the same width, and the channels the width that their tracks need.
fn place_across(cards: &[Card], boxes: &mut [Place], tracks: &Tracks) -> Starts {
    let mut starts = Starts::default();
    let mut x = 0;
    for (channel, column) in [
        (Channel::OuterLeft, Column::Principals),
        (Channel::InnerLeft, Column::Actions),
        (Channel::InnerRight, Column::Others),
    ] {
        starts.channels.insert(channel, x);
        x += tracks.width(channel);
        starts.columns.insert(column, x);
        let own = || cards.iter().zip(&*boxes).filter(|(_, place)| place.column == column);
        let widest = own().map(|(card, _)| width(card)).max().unwrap_or_default().max(MIN_BOX);
        for place in boxes.iter_mut().filter(|place| place.column == column) {
            (place.x, place.width) = (x, widest);
        }
        x += widest;
    }
    starts.channels.insert(Channel::OuterRight, x);
    starts.end = x + tracks.width(Channel::OuterRight);
    starts
}

/// The width that the texts of a card need.
fn width(card: &Card) -> usize {
    let rows = card.rows.iter().map(|row| {
        let label = if row.section.label().is_empty() { 0 } else { card.label_cells() };
        label + row.depth * INDENT_CELLS + cells(&row.name) + cells(&row.detail)
    });
    let longest = rows.chain([cells(&card.title)]).max().unwrap_or_default();
    (longest * CELL_TENTHS).div_ceil(10) + 2 * PAD_X
}

/// The height of the head of a box: its kind and its title.
pub const HEAD: usize = 44;
const ROW: usize = 18;
/// Above and below the rows of a box.
const PAD: usize = 7;
/// At the left and right of the texts of a box.
pub const PAD_X: usize = 12;
/// Above the first boxes: the title, and the heads of the columns.
const TOP: usize = 96;
/// Below the last boxes: what the colours mean.
pub const FOOT: usize = 40;
pub const MARGIN: usize = 24;
/// About what a reader sees at once.
const SCREEN: usize = 600;
/// Between boxes below each other.
const GAP: usize = 20;
const MIN_BOX: usize = 170;
const MIN_WIDTH: usize = 640;

/// The width of a letter of 12 pixels in tenths of a pixel. The common fonts of one width, at 0.6 of their height, have
/// 72.
pub const CELL_TENTHS: usize = 74;
pub const INDENT_CELLS: usize = 2;
