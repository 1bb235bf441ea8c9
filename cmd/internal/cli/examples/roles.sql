-- Run once as a superuser of the database's server, then remove this file: it holds passwords.
-- Grant each role what its position needs; the proxy's policy says more narrowly what a person may do.
CREATE ROLE shiguan_catalogue LOGIN PASSWORD '%s';
CREATE ROLE civil_affairs_clerk LOGIN PASSWORD '%s';
