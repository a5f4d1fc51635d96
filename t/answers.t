#!/usr/bin/perl

# Every answer that a token endpoint may give, by the book and against it:
# one client id a case, so that no failure delays another case.

use strict;
use warnings;

use lib 't/lib';
use Zertiban::Secrets;
use Zertiban::Test;

use POSIX qw(strftime);
use Socket qw(IPPROTO_TCP TCP_NODELAY);

my $token = 'eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0ZXN0In0.c2lnbmF0dXJl';
my $good  = json();

my $max_token = 'x' x 16384;
my $visible   = join '', map { chr } 0x21 .. 0x7e;

secret($token, $max_token);


# -- answers with a token: name, answer, the token if it is another one

my @usable = (
    ['a Content-Length', sized($good)],
    ['a Content-Length on a connection that stays open',
     held_open(sized($good))],
    ['a Content-Length, and more bytes than it says', sized($good) . 'more'],
    ['a Content-Length, byte by byte', drip(sized($good))],
    ['a Content-Length with zeros in front',
     http("HTTP/1.1 200 OK\nContent-Length: 000" . length $good, $good)],
    (map { ["$_->[0] around a Content-Length",
            http("HTTP/1.1 200 OK\nContent-Length:$_->[1]" . length($good)
                 . $_->[1], $good)] }
     ['nothing', ''], ['tabs', "\t\t"], ['spaces and tabs', " \t \t "]),
    ['two equal Content-Lengths',
     http("HTTP/1.1 200 OK\n" . join("\n", (length_of($good)) x 2), $good)],
    ['no Content-Length', http('HTTP/1.1 200 OK', $good)],
    ['no Content-Length, byte by byte', drip(http('HTTP/1.1 200 OK', $good))],
    ['no Content-Length, and a reset',
     cut(http('HTTP/1.1 200 OK', $good))],
    ['a Content-Length, and a reset', cut(sized($good))],
    ['HTTP/1.0', http('HTTP/1.0 200 OK', $good)],
    ['HTTP/1.0 with a Content-Length',
     http("HTTP/1.0 200 OK\n" . length_of($good), $good)],
    ['no reason phrase', http("HTTP/1.1 200\n" . length_of($good), $good)],

    ['one chunk', chunked($good)],
    ['a chunk for each byte', chunked(split //, $good)],
    ['chunks, byte by byte', drip(chunked($good =~ /.{1,9}/g))],
    ['chunks, and a reset', cut(chunked($good))],
    ['chunks on a connection that stays open', held_open(chunked($good))],
    ['chunks with extensions', chunk_head() . extended($good) . "0;x\r\n\r\n"],
    ['chunks with trailers',
     chunk_head() . chunk($good) . "0\r\nX-One: 1\r\nX-Two: 2\r\n\r\n"],
    ['chunks with trailers, byte by byte',
     drip(chunk_head() . chunk($good) . "0\r\nX-One: 1\r\n\r\n")],
    ['chunk sizes with zeros in front', chunk_head()
     . sprintf("000%X\r\n%s\r\n000\r\n\r\n", length $good, $good)],
    ['a transfer coding between tabs',
     http("HTTP/1.1 200 OK\nTransfer-Encoding:\tchunked\t",
          chunk($good) . "0\r\n\r\n")],
    ['a transfer coding in another case',
     http("HTTP/1.1 200 OK\ntransfer-encoding: Chunked",
          chunk($good) . "0\r\n\r\n")],

    ['header names in lower case',
     http("HTTP/1.1 200 OK\ncontent-length: " . length $good, $good)],
    ['header names in upper case',
     http("HTTP/1.1 200 OK\nCONTENT-LENGTH: " . length $good, $good)],
    ['many headers', http(join("\n", 'HTTP/1.1 200 OK',
                               (map { "X-H$_: $_" } 1 .. 200),
                               length_of($good)), $good)],
    ['a header without a value', http("HTTP/1.1 200 OK\nX-None:", $good)],
    ['a body that is not called JSON',
     http("HTTP/1.1 200 OK\nContent-Type: text/plain", $good)],

    (map { ["Content-Encoding: $_",
            http("HTTP/1.1 200 OK\nContent-Encoding: $_", $good)] }
     'identity', "\tIdentity\t", '', 'identity, identity', ','),
    ['a 103 with a content coding first',
     interim("103 Early Hints\nContent-Encoding: gzip") . sized($good)],

    ['a 100 first', interim('100 Continue') . sized($good)],
    ['a 103 with headers first',
     interim("103 Early Hints\nLink: </x>\nContent-Length: 5")
     . sized($good)],
    ['ten 100s first, byte by byte',
     drip(interim('100 Continue') x 10 . sized($good))],

    ['expires_in as a string', sized(json(expires_in => '"300"'))],
    ['expires_in with a fraction', sized(json(expires_in => '300.9'))],
    ['expires_in as a string with a fraction',
     sized(json(expires_in => '"300.9"'))],
    ['expires_in with an exponent', sized(json(expires_in => '3e2'))],
    ['a huge expires_in', sized(json(expires_in => '1e300'))],
    ['an expires_in beyond every number', sized(json(expires_in => '1e999'))],
    ['a huge expires_in as a string',
     sized(json(expires_in => '"' . '9' x 30 . '"'))],
    ['a null for expires_in', sized(json(expires_in => 'null'))],
    ['no expires_in', sized(json(expires_in => undef))],

    ['no token_type', sized(json(token_type => undef))],
    ['a null for token_type', sized(json(token_type => 'null'))],
    ['token_type in lower case', sized(json(token_type => '"bearer"'))],
    ['token_type in upper case', sized(json(token_type => '"BEARER"'))],

    (map { ["an error that is $_", sized(json(error => $_))] }
     'null', '""', 'false'),
    ['an error_description without an error',
     sized(json(error_description => '"none"'))],
    ['a 201', sized($good, 0, '201 Created')],

    ['more members', sized(json(scope => '"a b"', extra => '[{"a":[null]}]',
                                errors => '1'))],
    ['white space wherever JSON allows it',
     sized(qq(\r\n\t {\n"access_token"\t:\r\n "$token" ,)
           . qq( "expires_in" : 300 }\r\n \n))],
    ['a byte order mark, which a parser may ignore',
     sized("\xef\xbb\xbf$good")],
    ['a member given twice',
     sized(qq({"access_token":"$token","access_token":"$token"}))],
    ['a token with JSON escapes',
     sized('{"access_token":"\u0061\/\u002Bb"}'), 'a/+b'],
    ['a token of every character that a token may have',
     sized(json(access_token => quoted($visible))), $visible],
    (map { ["access_token $_", sized(json(access_token => quoted($_))), $_] }
     'a"b', 'a\\b', 'a,b', 'a:b', 'a=b', '=ab', '=', '"', '\\'),
    ['a token of one character', sized(json(access_token => '"x"')), 'x'],
    ['a token of 16 KiB', sized(json(access_token => qq("$max_token"))),
     $max_token],
    ['a body of 60 KiB', sized($good . ' ' x 60000)],
    ['chunks of 60 KiB', chunked($good, (' ' x 1000) x 60)],
);


# -- answers without a usable token: name, answer, error if it is not
# idp_bad_response, further checks

my @unusable = (
    ['an end in the status line', 'HTTP/1.1 20'],
    ['an end after the status line', "HTTP/1.1 200 OK\r\n"],
    ['an end in a header', "HTTP/1.1 200 OK\r\nContent-Le"],
    ['an end after the headers',
     "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"],
    ['an end in the body', substr sized($good), 0, -1],
    ['an end in a chunk', substr chunked($good), 0, -8],
    ['an end after a chunk', chunk_head() . chunk($good)],
    ['an end in a chunk size', chunk_head() . chunk($good) . '1'],
    ['an end after the last chunk', chunk_head() . chunk($good) . "0\r\n"],
    ['an end in a trailer',
     chunk_head() . chunk($good) . "0\r\nX-One: 1\r\n"],
    ['an end after a 100', interim('100 Continue')],

    ['a chunk size that is no number', chunk_head() . "zz\r\n$good\r\n"],
    ['an empty chunk size', chunk_head() . "\r\n$good\r\n0\r\n\r\n"],
    ['a negative chunk size',
     chunk_head() . '-' . chunk($good) . "0\r\n\r\n"],
    ['a chunk size with 0x', chunk_head() . '0x' . chunk($good)],
    ['a chunk size that overflows',
     chunk_head() . 'f' x 17 . "\r\n$good\r\n0\r\n\r\n"],
    ['a chunk size that nearly overflows',
     chunk_head() . '7' . 'f' x 15 . "\r\n$good\r\n0\r\n\r\n"],
    ['a chunk without a line end', chunk_head()
     . sprintf("%x\r\n%s0\r\n\r\n", length $good, $good)],
    ['a chunk longer than its size', chunk_head()
     . sprintf("%x\r\n%s\r\n0\r\n\r\n", length($good) - 1, $good)],

    ['a Content-Length that is too big', sized($good, 1)],
    ['a Content-Length that is too small', sized($good, -1)],
    (map { ["Content-Length: $_", http("HTTP/1.1 200 OK\n"
                                       . "Content-Length: $_", $good)] }
     '-1', '+' . length $good, length($good) . 'x', '1e2', '0x40', '',
     '9' x 30, length($good) . ', ' . length $good, '99999999'),
    ['two Content-Lengths',
     http("HTTP/1.1 200 OK\n" . length_of($good) . "\nContent-Length: 3",
          $good)],
    ['a Content-Length with chunks',
     http("HTTP/1.1 200 OK\nContent-Length: 5\nTransfer-Encoding: chunked",
          chunk($good) . "0\r\n\r\n")],
    ['chunks with a Content-Length',
     http("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nContent-Length: 5",
          chunk($good) . "0\r\n\r\n")],
    (map { ["Transfer-Encoding: $_", http("HTTP/1.1 200 OK\n"
            . "Transfer-Encoding: $_", chunk($good) . "0\r\n\r\n")] }
     'gzip', 'gzip, chunked', 'chunked, chunked', 'identity', 'xchunked', ''),
    ['Transfer-Encoding given twice',
     http("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n"
          . 'Transfer-Encoding: chunked', chunk($good) . "0\r\n\r\n")],
    ['HTTP/1.0 with chunks',
     http("HTTP/1.0 200 OK\nTransfer-Encoding: chunked",
          chunk($good) . "0\r\n\r\n")],

    (map { ["the status line $_", http("$_\n" . length_of($good), $good)] }
     'HTTP/2.0 200 OK', 'HTTP/0.9 200 OK', 'HTTP/1.10 200 OK',
     'HTTP/1 200 OK', 'HTTP/ 200 OK', 'http/1.1 200 OK', 'HTTPS/1.1 200 OK',
     'ICY 200 OK', 'HTTP/1.1 99 Low', 'HTTP/1.1 099 Low',
     'HTTP/1.1 1000 High', 'HTTP/1.1 999 High', 'HTTP/1.1 600 High',
     'HTTP/1.1 2O0 OK', 'HTTP/1.1 OK', 'HTTP/1.1', 'HTTP/1.1 -200 OK',
     'HTTP/1.1 200OK', ' HTTP/1.1 200 OK'),
    ['a body without a status line', $good],
    ['a greeting of another protocol', "SSH-2.0-OpenSSH_9.6\r\n"],
    ['a TLS alert', "\x15\x03\x01\x00\x02\x02\x46"],
    ['HTTP/2 frames', "\0\0\x12\x04\0\0\0\0\0" . "\0" x 18],
    ['4 KiB of zeros', "\0" x 4096],
    ['bytes of every value', join '', map { chr } 0 .. 255],

    ['a header without a colon', http("HTTP/1.1 200 OK\nnonsense", $good)],
    ['a header without a name', http("HTTP/1.1 200 OK\n: value", $good)],
    ['a header with a NUL in its value',
     http("HTTP/1.1 200 OK\nX-One: a\0b", $good)],
    ['a header with a NUL in its name',
     http("HTTP/1.1 200 OK\nX\0One: a", $good)],
    ['a space before the colon',
     http("HTTP/1.1 200 OK\nContent-Length : 5", $good)],
    ['a folded header', http("HTTP/1.1 200 OK\nX-One: a\n b", $good)],
    ['headers of 100 KiB', http(join("\n", 'HTTP/1.1 200 OK',
                                     map { "X-H$_: $_" } 1 .. 8000), $good)],
    ['a header of 100 KiB',
     http("HTTP/1.1 200 OK\nX-One: " . 'x' x 100000, $good)],
    ['a status line of 100 KiB',
     http('HTTP/1.1 200 ' . 'x' x 100000, $good)],
    ['100s without an end', held_open(interim('100 Continue') x 10000)],

    ['a 101', http("HTTP/1.1 101 Switching Protocols\nUpgrade: x", $good)],
    ['a 204', http('HTTP/1.1 204 No Content', '')],
    ['a 204 with a body', sized($good, 0, '204 No Content')],
    (map { ["a $_ with a token", sized($good, 0, $_)] }
     '202 Accepted', '203 Changed', '205 Reset',
     '206 Partial Content', '300 Choices', '304 Not Modified'),

    ['a Content-Length of 100 KiB', sized($good . ' ' x 102400)],
    ['chunks of 100 KiB', chunked($good, (' ' x 1024) x 100)],
    ['100 KiB until the end', http('HTTP/1.1 200 OK', $good . ' ' x 102400)],
    ['a chunk extension of 100 KiB', chunk_head()
     . sprintf("%x;%s\r\n%s\r\n0\r\n\r\n", length $good, 'x' x 102400, $good)],
    ['trailers of 100 KiB', chunk_head() . chunk($good) . "0\r\n"
     . "X-One: 1\r\n" x 10240 . "\r\n"],

    ['an empty body', sized('')],
    ['an empty body until the end', http('HTTP/1.1 200 OK', '')],
    ['an empty chunked body', chunked()],
    (map { ["the body $_", sized($_)] }
     'null', 'true', '42', '"token"', '[]', "[$good]", '{}', '{', '}', ' ',
     "{'access_token':'x'}", '{access_token:"x"}',
     'access_token=x&token_type=Bearer', '<html><body>Login</body></html>'),
    ['a truncated object', sized(substr $good, 0, -1)],
    ['an object in the middle of a string', sized(substr $good, 0, 30)],
    ['bytes after the object', sized("$good x")],
    ['two objects', sized("$good$good")],
    ['a NUL after the object', sized("$good\0")],
    ['a NUL and more after the object', sized("$good\0 {")],
    ['a missing comma', sized($good =~ s/,/ /r)],
    ['10,000 arrays in each other',
     sized('[' x 10000 . ']' x 10000)],
    ['10,000 objects in each other',
     sized('{"a":' x 10000 . '1' . '}' x 10000)],
    ['10,000 arrays in a member', sized(json(x => '[' x 10000 . ']' x 10000))],
    ['10,000 open brackets', sized('[' x 10000)],
    ['gzip', http("HTTP/1.1 200 OK\nContent-Encoding: gzip",
                  "\x1f\x8b\x08\0\0\0\0\0\0\x03\xab\xae\x05\0\x43\xbf\xa6")],
    (map { ["Content-Encoding: $_",
            http("HTTP/1.1 200 OK\nContent-Encoding: $_", $good)] }
     'br', 'identity, gzip', 'gzip, identity', '"identity"', 'identity;x',
     "gzip\nContent-Encoding: identity"),
    ['a 201 with a content coding',
     http("HTTP/1.1 201 Created\nContent-Encoding: gzip", $good)],
    ['a 401 with a content coding',
     http("HTTP/1.1 401 Unauthorized\nContent-Encoding: gzip", ''),
     'idp_rejected_client'],
    ['UTF-16', sized(join '', map { "\0$_" } split //, $good)],
    ['UTF-16 with a byte order mark',
     sized("\xff\xfe" . join '', map { "$_\0" } split //, $good)],

    (map { ["access_token $_", sized(json(access_token => $_))] }
     '""', '42', 'null', 'true', '["x"]', '{"x":"x"}', '"a b"', '"Bearer x"',
     '" a"', '"a "', '" "',
     '"a\u0000b"', '"\u0000"', '"a\r\nX-Injected: 1"', '"a\nb"', '"a\tb"',
     '"a\u00e9b"', '"\ud83d\ude00"', '"a\u007fb"', '"\ud800"', '"\u00"',
     '"\x"', qq("p\xc3\xa4"), qq("a\xff"), qq("a\nb"), qq("a\0b"), qq("a\0"),
     qq("\0"), qq("a\x7fb")),
    ['no access_token', sized(json(access_token => undef))],
    ['an access_token in another case',
     sized(json(access_token => undef, Access_Token => qq("$token")))],
    ['an access_token of 16 KiB and a byte',
     sized(json(access_token => qq("x$max_token")))],
    ['an access_token of 50 KiB',
     sized(json(access_token => '"' . 'x' x 51200 . '"'))],

    (map { ["token_type $_", sized(json(token_type => $_))] }
     '"mac"', '""', '"Bearer "', '"Bearer\u0000"', '1', 'false',
     '["Bearer"]'),

    (map { ["expires_in $_", sized(json(expires_in => $_))] }
     '0', '-1', '0.5', '-1e300', '"abc"', '""', '"0"', '"-1"', '"1e3"',
     '" 300"', '"300 "', '"300s"', '"0x10"', '".5"', '"NaN"', '"300\u00005"',
     'true', 'false', '{}', '[300]'),

    ['an error with status 200', sized('{"error":"invalid_client"}'),
     'idp_rejected_client'],
    ['an error with status 201',
     sized('{"error":"invalid_client"}', 0, '201 Created'),
     'idp_rejected_client'],
    (map { ["an error $_ beside a token", sized(json(error => $_)),
            'idp_rejected_client'] }
     '"invalid_client"', 'true', '0', '{}', '[]'),
    (map { ["an error $_ and nothing else", sized(qq({"error":$_}))] }
     'null', '""', 'false'),

    ['a 404', sized('<html>', 0, '404 Not Found')],
    ['a 400 invalid_client', refusal('400 Bad Request'),
     'idp_rejected_client'],
    (map { ["a $_", refusal($_), 'idp_rejected_client'] }
     '401 Unauthorized', '403 Forbidden', '405 Method Not Allowed',
     '415 Unsupported', '422 Unprocessable', '499 Last'),
    ['a 401 without a body', sized('', 0, '401 Unauthorized'),
     'idp_rejected_client'],
    ['a 401 with a token', sized($good, 0, '401 Unauthorized'),
     'idp_rejected_client'],
    ['a 401 that names the secret', sized(
         '{"error":"invalid_client","error_description":"not top-secret-1"}',
         0, '401 Unauthorized'), 'idp_rejected_client'],

    (map { ["a $_", sized('<html>', 0, $_), 'idp_unreachable',
            retry_after(1, 2)] }
     '500 Internal Server Error', '502 Bad Gateway', '503 Unavailable',
     '504 Gateway Timeout', '599 Last'),
    ['a 500 with a token', sized($good, 0, '500 Oops'), 'idp_unreachable'],
    ['a 503 with Retry-After', later('503 Unavailable', 9),
     'idp_unreachable', retry_after(9, 10)],
    ['a 500 with Retry-After, which says nothing', later('500 Oops', 9),
     'idp_unreachable', retry_after(1, 2)],

    ['a 429', sized('', 0, '429 Too Many Requests'), 'idp_rate_limited',
     retry_after(1, 10)],
    ['a 429 with seconds', later('429 Too Many', 7), 'idp_rate_limited',
     retry_after(7, 8)],
    ['a 429 with seconds between tabs', later('429 Too Many', "\t7\t"),
     'idp_rate_limited', retry_after(7, 8)],
    ['a 429 with a date', later_date(20),
     'idp_rate_limited', retry_after(19, 21)],
    ['a 429 with a date that is past', later_date(-20),
     'idp_rate_limited', retry_after(1, 10)],
    ['a 429 with more than five minutes', later('429 Too Many', 86400),
     'idp_rate_limited', retry_after(295, 300)],
    ['a 429 with a date in a year', later_date(31536000),
     'idp_rate_limited', retry_after(295, 300)],
    (map { ["a 429 with Retry-After: $_", later('429 Too Many', $_),
            'idp_rate_limited', retry_after(1, 10)] }
     'soon', '-7', '7.5', '7s', '', '0', '0x10'),
    ['a 429 with a number of 30 digits', later('429 Too Many', '9' x 30),
     'idp_rate_limited', retry_after(295, 300)],

    ['an end at once', sub { $_[0]->close() }, 'idp_unreachable'],
    ['a reset at once', sub { $_[0]->reset() }, 'idp_unreachable'],
    ['a reset in the status line', cut('HTTP/1.1 20')],
    ['a reset in the body', cut(substr sized($good), 0, -1)],
    ['a reset in a chunk', cut(substr chunked($good), 0, -8)],
    ['a reset after a 100', cut(interim('100 Continue'))],
    ['a 400 until a reset',
     cut(http('HTTP/1.1 400 Bad Request', '{"error":"invalid_client"}')),
     'idp_rejected_client'],
    ['a 429 until a reset',
     cut(http("HTTP/1.1 429 Too Many\nRetry-After: 40", 'slow down')),
     'idp_rate_limited', retry_after(39, 40)],
    ['a 503 until a reset',
     cut(http("HTTP/1.1 503 Unavailable\nRetry-After: 40", 'later')),
     'idp_unreachable', retry_after(39, 40)],
    ['silence', sub { return }, 'idp_timeout'],
    ['silence after the headers',
     held_open("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
     'idp_timeout'],
    ['silence in a chunk', held_open(substr chunked($good), 0, -8),
     'idp_timeout'],
    ['silence where only the end is missing',
     held_open(http('HTTP/1.1 200 OK', $good)), 'idp_timeout'],
);

# -- what the log says about a failure: name, answer, the line from its reason
# to the attempt

my $refused = 'the token endpoint refused the client';
my $astray = 'the token endpoint refused the request, its URL may be wrong';
my $unexpected = 'the answer has an unexpected status';

my @reasons = (
    ['a description', described('the secret has expired'),
     qq($refused, status 401, error "invalid_client", )
     . 'description "the secret has expired"'],
    ['a description without an error',
     sized('{"error_description":"say more"}', 0, '400 Bad Request'),
     qq($refused, status 400, description "say more")],
    ['a description of a 500',
     sized('{"error":"server_error","error_description":"no database"}', 0,
           '500 Oops'),
     'the token endpoint is out of order, status 500, error "server_error", '
     . 'description "no database"'],
    ['a description of all characters',
     described(join '', map { sprintf '\u%04x', $_ } 1 .. 0xff),
     qq($refused, status 401, error "invalid_client", description ")
     . ('?' x 31 . join '', map { chr } 0x20 .. 0x7e) =~ s/["\\]/?/gr
     . '?' x (200 - 31 - 95) . '"'],
    ['a long description', described('x' x 5000),
     qq($refused, status 401, error "invalid_client", description ")
     . 'x' x 200 . '"'],
    (map { ["a description that $_->[0]", described($_->[1]),
            qq($refused, status 401, error "invalid_client", )
            . 'description "not shown, it repeats a secret"'] }
     ['repeats the secret', 'not Top-Secret-1!'],
     ['repeats it late', 'x' x 5000 . 'top-secret-1']),
    ['a description that repeats the token',
     sized(json(error => '"invalid"', error_description => qq("<$token>"))),
     'the answer is an error in spite of its status, status 200, '
     . 'error "invalid", description "not shown, it repeats a secret"'],
    (map { ["a description that is $_",
            sized(qq({"error":"x","error_description":$_}), 0, '400 Bad'),
            qq($refused, status 400, error "x")] }
     'null', '""', '42', 'true', '{}'),

    (map { ["a $_ without an error", sized('<html>', 0, $_),
            "$refused, status " . substr $_, 0, 3] }
     '400 Bad Request', '401 Unauthorized'),
    (map { ["a $_ without an error", sized('<html>', 0, $_),
            "$astray, status " . substr $_, 0, 3] }
     '403 Forbidden', '405 Method Not Allowed', '410 Gone', '499 Last'),
    ['a 403 with an empty error', sized('{"error":""}', 0, '403 Forbidden'),
     "$astray, status 403"],
    ['a 403 with an error', sized('{"error":"x"}', 0, '403 Forbidden'),
     qq($refused, status 403, error "x")],
    ['a 404', sized('<html>', 0, '404 Not Found'),
     "$unexpected, the URL of the token endpoint may be wrong, status 404"],
    (map { ["the content coding $_->[0]", coded($_->[0]),
            qq(the answer has the content coding "$_->[1]")] }
     ['gzip', 'gzip'], ['x-GZIP', 'x-GZIP'], ['identity, br', 'br'],
     ["\tidentity\t,\tbr\t", 'br'], ['gzip, br', 'gzip'],
     ['gzip;q=1', 'gzip'], ["a\x1b[31m", 'a'], ['x' x 300, 'x' x 32]),
    (map { ["the content coding $_", coded($_),
            'the answer has a content coding'] }
     '"gzip"', "\x1b[31m", 'xtop-secret-1', 'x' x 300 . 'Top-Secret-1'),
    ['a 302', sized('', 0, '302 Found'), "$unexpected, status 302"],
);

my %status = (
    idp_bad_response    => 502,
    idp_rejected_client => 502,
    idp_unreachable     => 503,
    idp_rate_limited    => 503,
    idp_timeout         => 504,
);


# -- one nginx, one worker

my $idp       = Zertiban::IdP->new();
my $elsewhere = Zertiban::IdP->new();
my $api       = Zertiban::API->new();
my $nginx     = Zertiban::Nginx->new();

for my $status (301, 302, 303, 307, 308) {
    push @unusable, ["a redirect $status, which is not followed",
        http("HTTP/1.1 $status Moved\nLocation: " . $elsewhere->url()
             . "\nContent-Length: 0", '')];
}

my %answers;

$idp->answer(sub { answer($_[0]) });

$nginx->run(<<'EOC', IDP => $idp->url(), API => $api->address());
    server {
        listen 127.0.0.1:%%PORT%%;

        zertiban                on;
        zertiban_token_endpoint %%IDP%%;
        zertiban_client_id      $arg_case;
        zertiban_client_secret  top-secret-1;
        zertiban_tenant_id      7f3bb5f0-2f0e-4d4b-9d59-0a3c2f7e1f11;
        zertiban_timeout        5s;

        proxy_http_version      1.1;

        location / {
            proxy_pass http://%%API%%;
        }

        location /short {
            zertiban_timeout 300ms;
            proxy_pass       http://%%API%%;
        }

        location /refused {
            zertiban_token_endpoint http://127.0.0.1:%%PORT_none%%/token;
            proxy_pass              http://%%API%%;
        }
    }
EOC

my ($worker) = $nginx->workers();
my $number = 0;

usable(@$_) for @usable;
unusable(@$_) for @unusable;
reason(@$_) for @reasons;
refused();

is($elsewhere->{connections}, 0, 'nobody has followed a redirect');
logs();

$nginx->finish();
done_testing();


sub answer {
    my ($request) = @_;

    my $answer = $answers{$request->{client_id}};

    return ref $answer ? $answer->($request) : $answer;
}


# -- the two kinds of cases

sub usable {
    my ($name, $answer, $expected) = @_;

    my $case = 'case' . ++$number;

    $answers{$case} = $answer;
    $expected //= $token;

    subtest shown($name) => sub {
        is(get("/1/$case?case=$case")->{status}, 200, 'the API is asked');
        is(($api->last("/1/$case?case=$case")->header('Authorization'))[0],
           "Bearer $expected", 'with the token');

        is(get("/2/$case?case=$case")->{status}, 200, 'and again');
        is($nginx->logged("/2/$case?case=$case")->{cache}, 'hit',
           'with the token in the cache');
        is($idp->count($case), 1, 'by one exchange');
    };
}


sub unusable {
    my ($name, $answer, $error, $check) = @_;

    my $case = 'case' . ++$number;

    $error //= 'idp_bad_response';
    $answers{$case} = $answer;

    my $uri = ($error eq 'idp_timeout' ? '/short/' : '/')
              . "$case?case=$case";

    subtest shown($name) => sub { failure($uri, $case, $error, $check) };
}


sub failure {
    my ($uri, $case, $error, $check) = @_;

    my $start = now();
    my $response = get($uri);
    my $time = now() - $start;
    my $log = $nginx->logged($uri);

    is($response->{status}, $status{$error}, 'the status of the failure');
    is($log->{error}, $error, '$zertiban_error');
    is($log->{cache}, 'error', '$zertiban_cache');
    is($log->{pid}, $worker, 'the worker lives on');
    is($api->count($uri), 0, 'the API is not asked');

    # nginx may have given up before this process has read what it sent
    wait_until { $idp->count($case) } if $case ne 'refused';
    is($idp->count($case), $case eq 'refused' ? 0 : 1, 'one exchange');

    # elsewhere it is 5 s
    if ($error eq 'idp_timeout') {
        ok($time >= 0.25 && $time < 4, 'as long as zertiban_timeout says')
            or diag("$time s");
    }

    my ($after) = $response->header('Retry-After');

    if ($status{$error} == 503) {
        like($after, qr/^[1-9][0-9]*$/, 'Retry-After');
        $check->($after) if $check;

    } else {
        is($after, undef, 'no Retry-After');
    }
}


sub reason {
    my ($name, $answer, $line) = @_;

    my $case = 'case' . ++$number;

    $answers{$case} = $answer;
    get("/$case?case=$case");

    my ($logged) = $nginx->error_log(qr/client "$case" from /);

    is(($logged // '') =~ s/^.*?token": //r =~ s/, attempt .*//sr, $line,
       'in the log, ' . shown($name));
}


# of a name that has bytes of the answer

sub shown {
    return $_[0] =~ s/([^\x20-\x7e])/sprintf '\\x%02x', ord $1/ger;
}


sub refused {
    subtest 'an endpoint that refuses to connect' => sub {
        failure('/refused/1?case=refused', 'refused', 'idp_unreachable');
    };
}


sub logs {
    my @errors = $nginx->error_log(qr/no new token/);

    cmp_ok(scalar @errors, '>=', @unusable, 'each failure is in the log');
    is(join('', grep { /[^\x20-\x7e\n]/ } @errors), '',
       'in visible characters');
    is(join('', grep { /x{201}/ } @errors), '',
       'and what the endpoint said is cut at 200 bytes');
}


sub get {
    return $nginx->get($_[0], seconds => 8);
}


sub retry_after {
    my ($from, $to) = @_;

    return sub {
        my ($seconds) = @_;

        ok($seconds >= $from && $seconds <= $to, "after $from to $to s")
            or diag("Retry-After: $seconds");
    };
}


# -- answers

sub json {
    my %o = @_;

    my %members = (access_token => qq("$token"), token_type => '"Bearer"',
                   expires_in => 300, %o);

    return '{' . join(',', map { qq("$_":$members{$_}) }
                           grep { defined $members{$_} }
                           sort keys %members) . '}';
}


# a string in JSON

sub quoted {
    return '"' . $_[0] =~ s/["\\]/\\$&/gr . '"';
}


sub http {
    my ($head, $body) = @_;

    return $head =~ s/\n/\r\n/gr . "\r\n\r\n$body";
}


sub length_of {
    my ($body, $more) = @_;

    return 'Content-Length: ' . (length($body) + ($more // 0));
}


sub sized {
    my ($body, $more, $status) = @_;

    $status //= '200 OK';

    return http("HTTP/1.1 $status\n" . length_of($body, $more), $body);
}


sub refusal {
    my ($status) = @_;

    my $error = 'invalid_client\u0000\u001b[31m\n' . 'x' x 5000;

    return sized(qq({"error":"$error"}), 0, $status);
}


sub described {
    my ($description) = @_;

    return sized(qq({"error":"invalid_client",)
                 . qq("error_description":"$description"}), 0,
                 '401 Unauthorized');
}


sub coded {
    my ($coding) = @_;

    return http("HTTP/1.1 200 OK\nContent-Encoding: $coding\n"
                . 'Content-Length: 0', '');
}


sub later {
    my ($status, $after) = @_;

    return http("HTTP/1.1 $status\nRetry-After: $after\nContent-Length: 0",
                '');
}


sub later_date {
    my ($seconds) = @_;

    return sub {
        return later('429 Too Many', strftime('%a, %d %b %Y %H:%M:%S GMT',
                                              gmtime(time + $seconds)));
    };
}


sub interim {
    return http("HTTP/1.1 $_[0]", '');
}


sub chunk_head {
    return http("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", '');
}


sub chunk {
    return sprintf "%x\r\n%s\r\n", length $_[0], $_[0];
}


sub chunked {
    return chunk_head() . join '', map { chunk($_) } @_, '';
}


sub extended {
    return join '', map { sprintf qq(%x;a=b; c="d;e"\r\n%s\r\n), length, $_ }
                    $_[0] =~ /.{1,40}/gs;
}


# -- ways to send them

sub held_open {
    my ($bytes) = @_;

    return sub { $_[0]->reply($bytes, keep => 1); return };
}


# a segment for each byte

sub drip {
    my ($bytes) = @_;

    return sub {
        my ($request) = @_;

        my $stream = $request->{stream};
        setsockopt($stream->{fh}, IPPROTO_TCP, TCP_NODELAY, 1);

        for my $byte (split //, $bytes) {
            $stream->write($byte);
            select undef, undef, undef, 0.0002;
        }

        $request->reply('');
        return;
    };
}


# what has come before a RST can still be read

sub cut {
    my ($bytes) = @_;

    return sub {
        my ($request) = @_;

        $request->{stream}->write($bytes);
        $request->reset();

        return;
    };
}
