-- Run once by the image, as superuser, when the server's volume is empty.
-- One database for each tenant with its own, owned by an ordinary role that cannot reach other databases.
\set ON_ERROR_STOP on
\getenv acme_password ACME_DATABASE_PASSWORD
\getenv globex_password GLOBEX_DATABASE_PASSWORD

CREATE ROLE acme LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION
  PASSWORD :'acme_password';
CREATE ROLE globex LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION
  PASSWORD :'globex_password';

CREATE DATABASE acme OWNER acme;
CREATE DATABASE globex OWNER globex;
REVOKE ALL ON DATABASE acme, globex FROM PUBLIC;
