import ReliabilityWebhooks
import Testing

@Suite("WebhookAddressPolicy")
struct WebhookAddressPolicyTests {
    private let policy = WebhookAddressPolicy()

    private func rejection(_ url: String, _ policy: WebhookAddressPolicy = .init()) -> WebhookAddressPolicy.Rejection? {
        do throws(WebhookAddressPolicy.Rejection) { _ = try policy.target(of: url) } catch { return error }
        return nil
    }

    @Test("W32: the first and the last address of each special range are rejected, and their neighbours are not")
    func ranges() throws {
        let special = [
            ("0.0.0.0", "0.255.255.255"), ("10.0.0.0", "10.255.255.255"), ("100.64.0.0", "100.127.255.255"),
            ("127.0.0.0", "127.255.255.255"), ("169.254.0.0", "169.254.255.255"), ("172.16.0.0", "172.31.255.255"),
            ("192.0.0.0", "192.0.0.255"), ("192.0.2.0", "192.0.2.255"), ("192.168.0.0", "192.168.255.255"),
            ("198.18.0.0", "198.19.255.255"), ("198.51.100.0", "198.51.100.255"), ("203.0.113.0", "203.0.113.255"),
            ("224.0.0.0", "239.255.255.255"), ("240.0.0.0", "255.255.255.255"), ("::", "::1"),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), ("fe80::", "febf:ffff::"), ("ff00::", "ffff::"),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"), ("3fff::", "3fff:fff:ffff::"),
            ("100::", "100::ffff:ffff:ffff:ffff"), ("2002::", "2002:ffff::"), ("64:ff9b::", "64:ff9b::ffff:ffff"),
            ("64:ff9b:1::", "64:ff9b:1:ffff::"), ("5f00::", "5f00:ffff::"), ("2001::", "2001:1ff:ffff::"),
            ("::7f00:1", "::ffff:127.0.0.1"), ("::ffff:10.0.0.1", "::ffff:169.254.169.254"), ("fec0::", "feff::"),
        ]
        for text in special.flatMap({ [$0.0, $0.1] }) {
            let address = try #require(WebhookAddress(text), "\(text)")
            #expect(address.kind != .global, "\(text)")
            #expect(throws: WebhookAddressPolicy.Rejection.address(address.kind)) {
                try policy.address(among: [address])
            }
        }
        let global = [
            "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
            "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0",
            "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255", "8.8.8.8",
            "2606:4700::1111", "2001:db7:ffff::", "2001:db9::", "2001:200::", "2003::", "3ffe::", "::ffff:8.8.8.8",
        ]
        for text in global {
            let address = try #require(WebhookAddress(text), "\(text)")
            #expect(address.kind == .global, "\(text)")
            #expect(try policy.address(among: [address]) == address)
        }
    }

    @Test("W32: a name with one global and one private address is rejected, in either order, and so is no address")
    func mixed() throws {
        let global = try #require(WebhookAddress([8, 8, 8, 8]))
        let loopback = try #require(WebhookAddress([127, 0, 0, 1]))
        #expect(throws: WebhookAddressPolicy.Rejection.address(.loopback)) {
            try policy.address(among: [global, loopback])
        }
        #expect(throws: WebhookAddressPolicy.Rejection.address(.loopback)) {
            try policy.address(among: [loopback, global])
        }
        #expect(throws: WebhookAddressPolicy.Rejection.noAddress) { try policy.address(among: []) }
        #expect(try policy.address(among: [global, global]) == global)
    }

    @Test("W32: odd literals are rejected")
    func literals() {
        let hosts = [
            "127.1", "127.0.1", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "0X7F000001", "2130706433", "017700000001",
            "1.2.3.4.5", "256.1.1.1", "1.2.3", "01.2.3.4", "1.2.3.4.", "example.1", "example.0x1", "a.0x",
            "[::1%25lo]", "[fe80::1%eth0]", "[::01]", "[0:0:0:0:0:0:0:1]", "[::FFFF:8.8.8.8]", "[::ffff:808:808]",
            "[2001:DB7::1]", "[8.8.8.8]", "[", "[]", "[::", "[:::]", "[1::2::3]", "[1:2:3:4:5:6:7:8:9]", "", ".",
            "a..b",
            "-a.com", "a-.com", "a.com.", "ex%61mple.com", "a_b,c", "localhost:", String(repeating: "a", count: 64),
        ]
        for host in hosts {
            #expect(rejection("https://\(host)/") != nil, "\(host)")
        }
        for host in ["127.0.0.1", "[::1]", "[::ffff:10.0.0.1]", "169.254.169.254", "[fe80::1]"] {
            guard case .address = rejection("https://\(host)/") else {
                Issue.record("\(host): \(String(describing: rejection("https://\(host)/")))")
                continue
            }
        }
        #expect(rejection("https://8.8.8.8/") == nil && rejection("https://[2606:4700::1111]:443/") == nil)
    }

    @Test("W32: other schemes, ports, user information and texts that need an interpretation are rejected")
    func urls() throws {
        let table: [(String, WebhookAddressPolicy.Rejection?)] = [
            ("https://example.com", nil), ("https://EXAMPLE.com/a?b=c:d@e", nil), ("HTTPS://example.com:443/", nil),
            ("https://xn--bcher-kva.example/[]", nil), ("https://a_b.example?x=//y", nil),
            ("http://example.com", .scheme), ("ftp://example.com", .scheme), ("file:///etc/passwd", .scheme),
            ("https://example.com:8443", .port(8443)), ("https://example.com:80", .port(80)),
            ("https://example.com:0443", .malformed), ("https://example.com:", .malformed),
            ("https://example.com:+443", .malformed), ("https://example.com:65536", .malformed),
            ("https://example.com:99999999999999999999", .malformed), ("https://u:p@example.com", .userInformation),
            ("https://example.com@127.0.0.1/", .userInformation), ("https://example.com\\@a.com/", .malformed),
            ("https://example.com#f", .malformed), ("https:example.com", .malformed), ("example.com", .malformed),
            ("https:/example.com", .malformed), ("", .malformed), (":", .malformed), ("https://", .host),
            ("https:///path", .host), ("https://exa mple.com", .malformed),
            ("https://example.com/\r\nx: y", .malformed),
            ("https://例え.jp", .malformed), ("https://example.com/\0", .malformed), (" https://example.com", .malformed),
            ("https://example.com/" + String(repeating: "a", count: 2048), .malformed),
        ]
        for (url, expected) in table { #expect(rejection(url) == expected, "\(url)") }
        let target = try policy.target(of: "https://EXAMPLE.com/a")
        #expect(target.host == "example.com" && target.port == 443 && target.isSecure && target.address == nil)
    }

    @Test("the switches allow plain HTTP, other ports and loopback for a server in a test")
    func switches() throws {
        let testing = WebhookAddressPolicy(ports: [8080], addressKinds: [.loopback], allowsPlainHTTP: true)
        let target = try testing.target(of: "http://127.0.0.1:8080/hook")
        #expect(target.host == "127.0.0.1" && target.port == 8080 && !target.isSecure)
        #expect(target.address?.bytes == [127, 0, 0, 1])
        #expect(try testing.target(of: "https://[::1]:8080/").host == "::1")
        #expect(rejection("http://127.0.0.1/", testing) == .port(80))
        #expect(rejection("http://10.0.0.1:8080/", testing) == .address(.privateNetwork))
    }

    @Test("the texts of addresses are canonical, and every other text is no address")
    func texts() throws {
        let canonical = [
            "0.0.0.0", "255.255.255.255", "::", "::1", "1::", "1::8", "1:0:0:4::8", "1:2:3:4:5:6:7:8", "2001:db8::1",
            "1:0:3:4:5:6:7:8", "::ffff:1.2.3.4", "1:2:3:4:5:6::",
        ]
        for text in canonical { #expect(WebhookAddress(text)?.description == text, "\(text)") }
        for text in [
            "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7", "::1.2.3.4", "1.2.3.4::", "g::", "1::0", "+1::", "12345::", "1.2.3.-4",
        ] {
            #expect(WebhookAddress(text) == nil, "\(text)")
        }
        for count in [0, 3, 5, 15, 17] {
            #expect(WebhookAddress(Array(repeating: UInt8(1), count: count)) == nil)
        }
    }
}
