//! Links one after the other, on which nothing has to be polled.

use std::net::SocketAddr;
use std::ops::Range;

use anyhow::{Context, Result};

use super::door::{Door, Held, Room};
use super::socket::Socket;
use super::token::Token;

/// A member that has joined.
pub(crate) struct Member {
    pub(crate) socket: Socket,
    pub(crate) room: Room,
    pub(crate) number: usize,
    pub(crate) held: Held,
}

/// Makes rooms, and has so many members join each.
pub(crate) fn join_all(
    door: &dyn Door,
    address: SocketAddr,
    rooms: Range<usize>,
    members: usize,
) -> Result<Vec<Member>> {
    let mut all = Vec::new();
    for number in rooms {
        let room = Room::small(number, 1);
        let mut creator = door.connect(address, &room, members)?;
        door.create(&mut creator, &room)?;
        for number in 0..members {
            let mut socket = door.connect(address, &room, number)?;
            let held = door.join(&mut socket, &room, None, 0)?;
            door.show(&mut socket, &room, number)?;
            all.push(Member { socket, room, number, held });
        }
    }
    Ok(all)
}

/// The first edit of a room, by its first member, who has just joined; waits for its acknowledgement.
pub(crate) fn edit(door: &dyn Door, member: &mut Member) -> Result<()> {
    let authors = door.authors(&member.room, member.held)?;
    let mut author = authors.into_iter().next().context("nobody writes")?;
    let mut out = Vec::new();
    author.edit(Token { room: member.room.number, writer: 0, number: 1 }, &mut out)?;
    member.socket.write(&out)?;
    while author.is_told() && !author.hear(&member.socket.receive()?)? {}
    Ok(())
}
