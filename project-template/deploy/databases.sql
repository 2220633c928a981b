-- Run once by the image, as superuser, when the server's volume is empty.
-- Three roles: one owns both databases and runs migrations; two serve, one for each database, and own nothing. So a serving
-- role cannot switch off row-level security or the append-only triggers, and cannot reach the other database.
\set ON_ERROR_STOP on
\getenv owner_password FREEHOLD_OWNER_PASSWORD
\getenv catalog_password FREEHOLD_CATALOG_PASSWORD
\getenv shared_password FREEHOLD_SHARED_PASSWORD

CREATE ROLE freehold_owner LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION
  PASSWORD :'owner_password';
CREATE ROLE freehold_catalog LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION
  PASSWORD :'catalog_password';
CREATE ROLE freehold_shared LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION
  PASSWORD :'shared_password';

CREATE DATABASE catalog OWNER freehold_owner;
CREATE DATABASE shared OWNER freehold_owner;
REVOKE ALL ON DATABASE catalog, shared FROM PUBLIC;
GRANT CONNECT ON DATABASE catalog TO freehold_catalog;
GRANT CONNECT ON DATABASE shared TO freehold_shared;

-- The owner's migrations create the tables later. These lines give the serving roles their rights to them in advance.
\connect catalog
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO freehold_catalog;
ALTER DEFAULT PRIVILEGES FOR ROLE freehold_owner IN SCHEMA public
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO freehold_catalog;
ALTER DEFAULT PRIVILEGES FOR ROLE freehold_owner IN SCHEMA public
  GRANT USAGE, SELECT ON SEQUENCES TO freehold_catalog;

\connect shared
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO freehold_shared;
ALTER DEFAULT PRIVILEGES FOR ROLE freehold_owner IN SCHEMA public
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO freehold_shared;
ALTER DEFAULT PRIVILEGES FOR ROLE freehold_owner IN SCHEMA public
  GRANT USAGE, SELECT ON SEQUENCES TO freehold_shared;
