-- Run once by the image, as superuser, when the server's volume is empty.
-- One database for each tenant that is to have its own, owned by an ordinary role that can reach no other.
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
