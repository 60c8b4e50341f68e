// Between a network device and what carries its frames: a user-space network, a tap device, a socket. Neither side knows more
// of the other than this. Frames are Ethernet's, without the checksum at their end.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace arclight::devices {

namespace virtio {
struct NetHeader;
}

/// A frame on its way to the guest.
struct ReceivedFrame {
    std::span<const uint8_t> bytes;
    /// Not zero: a TCP segment that stands for several, of so many bytes of data each but for the last one.
    uint16_t segment_bytes = 0;
    /// All checksums in it are known to be right. False: the guest looks itself.
    bool checked = true;
    /// Not null: what is left to whoever takes the frame, in virtio's words; the others here do not count.
    const virtio::NetHeader* header = nullptr;
};

/// The guest's end of a network's lane: its device. All calls come on the back end's thread, one at a time.
class NetGuest {
  public:
    virtual ~NetGuest() = default;

    /// Takes frames that the guest sends, to NetBackend::send(), and frames that wait for the guest to it. True: there is
    /// more, and another call is wanted.
    virtual bool transfer() = 0;
    /// Only the latter.
    virtual void deliver_waiting() = 0;
    /// Takes a frame for the guest: it is delivered, waits for room, or is lost.
    virtual void receive(const ReceivedFrame& frame) = 0;
    /// NetBackend::link_up() has changed.
    virtual void link_changed() = 0;
    /// Whether receive() takes frames with segment_bytes just now, of TCP over IPv4 or over IPv6.
    virtual bool takes_large_segments(bool ipv6) const = 0;
    /// Whether receive() takes frames whose header says that a checksum is missing just now.
    virtual bool takes_partial_checksums() const = 0;
};

/// A network, or one of the lanes of one that has several: each with a thread and a guest's end of its own.
class NetBackend {
  public:
    /// An IP packet of the greatest length there is, in Ethernet's header with a VLAN tag.
    static constexpr unsigned kMaxFrame = 65535 + 18;

    virtual ~NetBackend() = default;

    /// This one first; they live as long. Constant.
    virtual std::vector<NetBackend*> lanes() { return {this}; }

    /// Before the machine runs; `guest` outlives all calls. Null: nobody is there any more; returns when no call of the
    /// former one is under way.
    virtual void connect(NetGuest* guest) = 0;
    /// Whether send() takes TCP segments that are longer than the guest's MTU, and NetGuest::receive() may be given some.
    /// Constant.
    virtual bool large_segments() const { return false; }
    virtual bool link_up() const { return true; }
    /// Whether frames for send() begin with a virtio::NetHeader and leave to the back end what that says, as far as the guest's
    /// driver has agreed to such things. Constant; with large_segments().
    virtual bool takes_headers() const { return false; }

    /// During NetGuest::transfer(). At most kMaxFrame bytes, with all checksums filled in unless takes_headers(); they may be
    /// changed, and stay where they are until the next call of it.
    virtual void send(std::span<uint8_t> frame) = 0;

    /// Any thread, with any lock held: NetGuest::transfer() is called soon.
    virtual void wake() = 0;
    /// Any thread but the back end's own: returns when no call of NetGuest that had begun is under way.
    virtual void drain() = 0;
};

}  // namespace arclight::devices
