//! What carries a connection: a TCP or unix socket, or a pipe in memory under test, with or without TLS on top; and the ways to
//! end it that reach the peer. Octets are counted here, once, where they cross the socket.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::coop::has_budget_remaining;

use crate::tls::session::Session;

/// A byte stream that can be ended as the peer is to see it: by a reset, or by an end.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + 'static {
    /// Ready when a read is worth while. Spares a read through TLS that would find nothing.
    fn poll_readable(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
    /// Whether [`Transport::poll_readable`] would be ready, without being woken for it.
    fn is_readable(&self) -> bool {
        true
    }
    /// As `poll_read`.
    fn poll_receive(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(self).poll_read(cx, buf)
    }
    /// As `poll_write`.
    fn poll_send(&mut self, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(self).poll_write(cx, octets)
    }
    /// The peer sees a reset, even if a forked child of the host holds the descriptor too.
    fn reset(&mut self);
    /// The peer sees the end, even if a forked child of the host holds the descriptor too.
    fn finish(&mut self);
    /// Bounds how long the kernel keeps what it could not send once we have closed.
    fn bound_orphan(&self, patience: Duration);
}

impl Transport for TcpStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_read_ready(cx).map(drop)
    }

    fn is_readable(&self) -> bool {
        self.try_io(Interest::READABLE, || Ok(())).is_ok()
    }

    // Past the C library: in a process of several threads, which a host is, glibc 2.36 makes recv and send cancellation points by
    // two locked instructions each, beside a system call 80 ns (of the 11 us of a small request). Nobody may cancel a reactor
    // anyway.

    fn poll_receive(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.initialized().len() < buf.capacity() {
            return Pin::new(self).poll_read(cx, buf);
        }
        let octets = loop {
            ready!(self.poll_read_ready(cx))?;
            let room = buf.initialize_unfilled();
            let most = room.len();
            let receive = || recv(&*self, room, RecvFlags::empty()).map(|(_, octets)| octets);
            if let Some(octets) = move_octets(self, Interest::READABLE, most, receive)? {
                break octets;
            }
        };
        buf.advance(octets);
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_write_ready(cx))?;
            let send = || send(&*self, octets, SendFlags::NOSIGNAL);
            if let Some(sent) = move_octets(self, Interest::WRITABLE, octets.len(), send)? {
                return Poll::Ready(Ok(sent));
            }
        }
    }

    fn reset(&mut self) {
        // Zero linger plus close sends nothing while a forked child holds the descriptor; connect(AF_UNSPEC) does (Linux).
        if rustix::net::connect_unspec(&*self).is_err() {
            let _ = self.set_zero_linger();
        }
    }

    fn finish(&mut self) {
        let _ = shutdown(&*self, Shutdown::Both);
    }

    fn bound_orphan(&self, patience: Duration) {
        let millis = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
        let _ = sockopt::set_tcp_user_timeout(self, millis);
    }
}

/// Receives or sends on a socket that was ready. `None`: it is not any more. One that moved some octets, but not as many as it
/// could, has no more to move until the next edge (epoll(7)): tokio is told so, as by its own reads and writes, which spares a
/// system call.
fn move_octets(
    socket: &TcpStream,
    interest: Interest,
    most: usize,
    call: impl FnOnce() -> rustix::io::Result<usize>,
) -> io::Result<Option<usize>> {
    let mut moved = None;
    let outcome = socket.try_io(interest, || {
        let octets = *moved.insert(call()?);
        if (1..most).contains(&octets) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(moved),
    }
}

impl Transport for UnixStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_read_ready(cx).map(drop)
    }

    fn is_readable(&self) -> bool {
        self.try_io(Interest::READABLE, || Ok(())).is_ok()
    }

    fn reset(&mut self) {
        let _ = shutdown(&*self, Shutdown::Both);
    }

    fn finish(&mut self) {
        let _ = shutdown(&*self, Shutdown::Both);
    }

    fn bound_orphan(&self, _: Duration) {}
}

/// What a socket has carried, TLS included; shared with the connection's books.
#[derive(Default)]
pub(crate) struct Meter {
    pub(crate) received: Cell<u64>,
    pub(crate) sent: Cell<u64>,
    /// The peer's FIN was read.
    pub(crate) ended: Cell<bool>,
}

/// A socket whose octets are counted, and whose end reaches the peer however it is dropped.
pub(crate) struct Metered<T: Transport> {
    inner: T,
    meter: Rc<Meter>,
    /// Octets read before somebody decided what they are; handed out first.
    replay: Vec<u8>,
    replayed: usize,
    /// There was nothing to read, the task is woken when there is, and nothing has been read since.
    watched: bool,
    /// The end, or a reset, is on its way already.
    finished: bool,
}

impl<T: Transport> Metered<T> {
    pub(crate) fn new(inner: T, meter: Rc<Meter>) -> Self {
        Self { inner, meter, replay: Vec::new(), replayed: 0, watched: false, finished: false }
    }

    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.replay.is_empty() {
            return Poll::Ready(());
        }
        // An answer that comes from elsewhere ends a turn whose beginning has asked this already.
        if self.watched && !self.inner.is_readable() {
            return Poll::Pending;
        }
        let readable = self.inner.poll_readable(cx);
        // A task that has used up its budget is told to wait as well, and the socket will not wake it.
        self.watched = readable.is_pending() && has_budget_remaining();
        readable
    }

    /// Hands `octets` out before anything else that is read.
    pub(crate) fn unread(&mut self, octets: Vec<u8>) {
        self.replay = octets;
        self.replayed = 0;
    }
}

impl<T: Transport> Drop for Metered<T> {
    fn drop(&mut self) {
        if !self.finished {
            self.inner.finish();
        }
    }
}

impl<T: Transport> AsyncRead for Metered<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.replayed < this.replay.len() {
            let rest = &this.replay[this.replayed..];
            let length = rest.len().min(buf.remaining());
            buf.put_slice(&rest[..length]);
            this.replayed += length;
            if this.replayed == this.replay.len() {
                this.replay = Vec::new();
                this.replayed = 0;
            }
            return Poll::Ready(Ok(()));
        }
        this.watched = false;
        let before = buf.filled().len();
        ready!(this.inner.poll_receive(cx, buf))?;
        let length = buf.filled().len() - before;
        this.meter.received.set(this.meter.received.get() + length as u64);
        if length == 0 {
            this.meter.ended.set(true);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: Transport> AsyncWrite for Metered<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = ready!(this.inner.poll_send(cx, buf))?;
        this.meter.sent.set(this.meter.sent.get() + length as u64);
        Poll::Ready(Ok(length))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = ready!(Pin::new(&mut this.inner).poll_write_vectored(cx, bufs))?;
        this.meter.sent.set(this.meter.sent.get() + length as u64);
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

/// A connection ready for HTTP: cleartext, or TLS behind its handshake.
pub(crate) enum Wire<T: Transport> {
    Plain(Metered<T>),
    /// Boxed: the session's 1.3 KiB must not be moved about with every state.
    Tls(Box<Session<T>>),
}

impl<T: Transport> Wire<T> {
    fn metered(&mut self) -> &mut Metered<T> {
        match self {
            Self::Plain(plain) => plain,
            Self::Tls(tls) => tls.socket(),
        }
    }

    /// Pending while there is nothing to read, in the socket or above it.
    pub(crate) fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Plain(plain) => plain.poll_readable(cx),
            Self::Tls(tls) => tls.poll_readable(cx),
        }
    }

    /// Ends with a reset.
    pub(crate) fn reset(&mut self) {
        let metered = self.metered();
        metered.inner.reset();
        metered.finished = true;
    }

    /// Closes: close_notify as far as it goes into the socket at once, then the end of the stream.
    pub(crate) fn close(&mut self, cx: &mut Context<'_>, patience: Duration) {
        let told = Pin::new(&mut *self).poll_shutdown(cx);
        let metered = self.metered();
        // What the kernel still has to send must not outlive us for minutes.
        metered.inner.bound_orphan(patience);
        metered.finished = matches!(told, Poll::Ready(Ok(())));
    }
}

macro_rules! each {
    ($self:expr, $wire:ident => $call:expr) => {
        match $self.get_mut() {
            Wire::Plain($wire) => $call,
            Wire::Tls($wire) => $call,
        }
    };
}

impl<T: Transport> AsyncRead for Wire<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self, wire => Pin::new(wire).poll_read(cx, buf))
    }
}

impl<T: Transport> AsyncWrite for Wire<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self, wire => Pin::new(wire).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, wire => Pin::new(wire).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(plain) => plain.is_write_vectored(),
            Self::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, wire => Pin::new(wire).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, wire => Pin::new(wire).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, poll_fn};
    use std::pin::pin;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::sleep;

    use super::*;

    async fn pair() -> (Metered<TcpStream>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        // tokio takes a new socket for readable until a read says otherwise.
        assert!(socket.try_read(&mut [0]).is_err());
        (Metered::new(socket, Rc::default()), peer)
    }

    async fn becomes_readable(socket: &mut Metered<TcpStream>) {
        tokio::select! {
            // First, or it would wake the task for a socket that does not.
            biased;
            () = sleep(Duration::from_secs(10)) => panic!("the socket does not wake its task"),
            () = poll_fn(|cx| socket.poll_readable(cx)) => {}
        }
    }

    #[tokio::test]
    async fn a_watched_socket_wakes_its_task_however_often_it_is_asked() {
        let (mut socket, mut peer) = pair().await;
        for _ in 0..3 {
            poll_fn(|cx| {
                assert!((0..3).all(|_| socket.poll_readable(cx).is_pending()));
                Poll::Ready(())
            })
            .await;
            assert!(socket.watched);
            peer.write_all(b"1").await.unwrap();
            becomes_readable(&mut socket).await;
            assert_eq!(socket.read(&mut [0; 8]).await.unwrap(), 1);
        }
    }

    #[tokio::test]
    async fn a_task_without_budget_watches_nothing() {
        let (mut socket, mut peer) = pair().await;
        poll_fn(|cx| {
            while has_budget_remaining() {
                assert!(pin!(tokio::task::coop::consume_budget()).poll(cx).is_ready());
            }
            assert!(socket.poll_readable(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        let waiting = tokio::spawn(async move {
            tokio::task::yield_now().await;
            peer.write_all(b"1").await.unwrap();
            peer
        });
        tokio::task::yield_now().await;
        becomes_readable(&mut socket).await;
        drop(waiting.await.unwrap());
    }
}
