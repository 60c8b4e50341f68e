#include "guestos/chardev/parse.h"

#include <gtest/gtest.h>

namespace arclight::guestos {
namespace {

using Kind = ChardevOptions::Kind;

TEST(ParseChardev, EachKindWithItsKeys) {
    const auto file =
        parse_chardev("file,id=a,path=/tmp/x,,y,append=on,logfile=/tmp/log,logappend=on,mux=on");
    ASSERT_TRUE(file) << file.error();
    EXPECT_EQ(file->kind, Kind::File);
    EXPECT_EQ(file->id, "a");
    EXPECT_EQ(file->path, "/tmp/x,y");
    EXPECT_TRUE(file->append && file->logappend && file->mux);
    EXPECT_EQ(file->logfile, "/tmp/log");

    const auto unix_server = parse_chardev("socket,id=b,path=/tmp/s,server=on,wait=off");
    ASSERT_TRUE(unix_server) << unix_server.error();
    EXPECT_TRUE(unix_server->server && !unix_server->wait && unix_server->is_unix());

    const auto tcp = parse_chardev("socket,id=c,host=localhost,port=4444,reconnect=3,nodelay=on,ipv6=off");
    ASSERT_TRUE(tcp) << tcp.error();
    EXPECT_FALSE(tcp->is_unix() || tcp->server || tcp->ipv6);
    EXPECT_EQ(tcp->port, "4444");
    EXPECT_EQ(tcp->reconnect, 3u);
    EXPECT_TRUE(tcp->nodelay);

    EXPECT_EQ(parse_chardev("ringbuf,id=r,size=4K")->ring_bytes, 4096u);
    EXPECT_FALSE(parse_chardev("stdio,id=s,signal=off")->signals);
    EXPECT_TRUE(parse_chardev("stdio,id=s")->signals);
    EXPECT_EQ(parse_chardev("pty,id=p")->kind, Kind::Pty);
    EXPECT_EQ(parse_chardev("null,id=n")->kind, Kind::Null);
}

TEST(ParseChardev, ShortForms) {
    const auto console = parse_chardev_short("serial0", "mon:stdio");
    ASSERT_TRUE(console) << console.error();
    EXPECT_TRUE(console->mux && !console->signals && console->kind == Kind::Stdio);
    const auto unix_server = parse_chardev_short("m", "unix:/tmp/a b,server=on,wait=off");
    ASSERT_TRUE(unix_server) << unix_server.error();
    EXPECT_EQ(unix_server->path, "/tmp/a b");
    EXPECT_FALSE(unix_server->wait);
    const auto old = parse_chardev_short("m", "tcp::4444,server,nowait");
    ASSERT_TRUE(old) << old.error();
    EXPECT_TRUE(old->server && !old->wait && old->host.empty() && old->port == "4444");
    const auto telnet = parse_chardev_short("m", "telnet:localhost:4444,server,nowait");
    ASSERT_TRUE(telnet) << telnet.error();
    EXPECT_TRUE(telnet->telnet && telnet->server && !telnet->wait && telnet->port == "4444");
    EXPECT_TRUE(parse_chardev("socket,id=t,host=h,port=1,server=on,telnet=on")->telnet);
    EXPECT_EQ(parse_chardev_short("m", "tcp:[::1]:80")->host, "::1");
    EXPECT_EQ(parse_chardev_short("m", "file:/tmp/x")->path, "/tmp/x");
    EXPECT_EQ(parse_chardev_short("m", "pty:/tmp/link")->path, "/tmp/link");
}

TEST(ParseChardev, WhatIsWrongIsOneLine) {
    for (const char* text :
         {"", "socket", "socket,id=a", "file,id=a", "udp,id=a,port=1", "socket,id=a,path=x,telnet=on",
          "socket,id=a,host=h", "null", "nosuch,id=a", "null,id=a,colour=red", "ringbuf,id=a,size=3",
          "socket,id=a,path=x,server=maybe", "socket,id=a,path=x,reconnect=x",
          "socket,id=a,host=h,port=1,tls-creds=t", "socket,id=a,path=x,server=on,reconnect=1"}) {
        const auto parsed = parse_chardev(text);
        ASSERT_FALSE(parsed) << text;
        EXPECT_EQ(parsed.error().find('\n'), std::string::npos);
        EXPECT_FALSE(parsed.error().empty());
    }
    for (const char* text : {"", "udp:1.2.3.4:5", "telnet:h:1", "tcp:", "tcp:host", "nosuch", "vc", "unix:"})
        EXPECT_FALSE(parse_chardev_short("a", text)) << text;
}

}  // namespace
}  // namespace arclight::guestos
